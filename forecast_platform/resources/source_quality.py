"""Counts and verdicts on the sources of region-weeks, from what the lake holds.

What is read for it is in `forecast_platform.resources.source_history`, what is usual is judged in
`forecast_platform.quality`; which assets and checks ask is in their modules.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from forecast_platform.partitions import RegionWeek, by_region
from forecast_platform.quality.drift import HAS_USUAL_VALUES, judge_values
from forecast_platform.quality.freshness import IS_FRESH, judge_freshness
from forecast_platform.quality.verdicts import PAST_WEEKS, Verdict
from forecast_platform.quality.volume import (
    HAS_USUAL_ROWS,
    HAS_USUAL_STORES,
    WEEKS_A_YEAR,
    judge_rows,
    judge_stores,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.source_history import (
    LEDGER,
    ONE_WEEK,
    SourceHistory,
    read_closed_stores,
    read_histories,
)
from forecast_platform.schemas.quality import QualityRows
from forecast_platform.schemas.raw import CONTRACTS, LAST_DAY
from forecast_platform.schemas.tables import as_table

SEASON: Final = (WEEKS_A_YEAR + 1 + PAST_WEEKS) * ONE_WEEK
"""How far back rows are counted."""

BY_STORE: Final = ("shipments", "returns")
"""Sources of which every open store is expected to have rows."""

HAS_FEW_REFUSED_ROWS: Final = "has_few_refused_rows"

SEVERITY_OF: Final[Mapping[str, str]] = {
    HAS_FEW_REFUSED_ROWS: "ERROR",
    IS_FRESH: "WARN",
    HAS_USUAL_ROWS: "WARN",
    HAS_USUAL_STORES: "WARN",
    HAS_USUAL_VALUES: "WARN",
}
"""The checks of sources, and how bad a failure is."""

TABLES: Final = (LEDGER, *(contract.table for contract in CONTRACTS.values()))
"""What is read."""


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """What was found of the sources of some region-weeks.

    Attributes
    ----------
    rows : pandas.DataFrame
        Of the form `QualityRows`: one row per region-week and source.
    verdicts : sequence of tuple of RegionWeek, str and Verdict
        The str is the source.
    """

    rows: pd.DataFrame
    verdicts: Sequence[tuple[RegionWeek, str, Verdict]]


_kept: dict[object, SourceQuality] = {}
"""The last result, by all that it depends on: in one run two tables and the checks ask for it."""


def examine(lake: Lake, landing: Landing, keys: Sequence[RegionWeek]) -> SourceQuality:
    """Count the rows of sources and hold them to what was usual in the weeks before each.

    Judged anew when a table has changed since, or the sources file has.

    Parameters
    ----------
    lake : Lake
    landing : Landing
        Says which sources are delivered, which of them weekly, and how many rows may be refused.
    keys : sequence of RegionWeek
    """
    limits, weekly = landing.refused_limits(), frozenset(landing.required_sources())
    state = tuple(lake.state_of(table) for table in TABLES)
    asked = (lake.uri, state, tuple(keys), weekly, tuple(sorted(limits.items())))
    if (found := _kept.get(asked)) is None:
        found = _examine(lake, keys, weekly, limits)
        _kept.clear()
        _kept[asked] = found
    return found


def _examine(
    lake: Lake, keys: Sequence[RegionWeek], weekly: frozenset[str], limits: Mapping[str, float]
) -> SourceQuality:
    parts: list[pd.DataFrame] = []
    verdicts: list[tuple[RegionWeek, str, Verdict]] = []
    for region, weeks in by_region(keys).items():
        histories = read_histories(lake, region, weeks)
        closed = read_closed_stores(lake, region, weeks[-1])
        for source, history in histories.items():
            parts.append(_count_rows(history, region, weeks))
            if source in limits:
                judged = _judge(history, weeks, closed, limits[source], every_week=source in weekly)
                verdicts += ((RegionWeek(region, week), source, one) for week, one in judged)
    rows = as_table(pd.concat(parts).sort_values(["region", "week"], kind="stable"), QualityRows)
    return SourceQuality(QualityRows.validate(rows), verdicts)


def _count_rows(history: SourceHistory, region: str, weeks: Sequence[pd.Timestamp]) -> pd.DataFrame:
    """Make the rows of `quality_rows` of one source."""
    index = pd.DatetimeIndex(list(weeks))
    counts = history.counts.reindex(index, fill_value=0).astype("int64")
    newest = history.newest.reindex(history.newest.index.union(index)).ffill().reindex(index)
    newest = pd.to_datetime(newest)
    return counts.rename_axis(None).assign(
        region=region,
        week=index,
        source=history.source,
        refused_share=counts["rows_refused"] / counts["rows_read"].clip(lower=1),
        reasons=[json.dumps(history.reasons.get(week, {}), sort_keys=True) for week in weeks],
        n_stores=[len(history.stores(week)) for week in weeks],
        newest_known_on=newest,
        days_since_delivery=(index + LAST_DAY - newest).dt.days.clip(lower=0),
    )


def _judge(
    history: SourceHistory,
    weeks: Sequence[pd.Timestamp],
    closed: pd.Series,
    limit: float,
    *,
    every_week: bool,
) -> Iterator[tuple[pd.Timestamp, Verdict]]:
    """Judge the weeks of one source of one region."""
    counts = history.counts.reindex(pd.DatetimeIndex(list(weeks)), fill_value=0)
    accepted = history.counts["rows_accepted"]
    accepted = accepted[accepted.index >= weeks[0] - SEASON]
    delivered = history.counts.index.to_numpy("datetime64[us]")
    refused = zip(counts["rows_refused"], counts["rows_read"], strict=True)
    for week, (n_refused, n_read) in zip(weeks, refused, strict=True):
        yield week, _judge_refused(int(n_refused), int(n_read), limit)
        yield week, judge_freshness(delivered, week, every_week=every_week)
        yield week, judge_rows(accepted, week)
        past = history.weeks_before(week)
        now = history.sketches.get(week)
        if now is not None:
            yield week, judge_values([history.sketches[one] for one in past], now)
        if history.source in BY_STORE:
            known_closed = set(closed.index[closed <= week + LAST_DAY])
            before = [history.stores(one) for one in past]
            yield week, judge_stores(before, history.stores(week), known_closed)


def _judge_refused(n_refused: int, n_read: int, limit: float) -> Verdict:
    share = n_refused / n_read if n_read else 0.0
    text = f"{n_refused} of {n_read} rows were refused"
    return Verdict(HAS_FEW_REFUSED_ROWS, share <= limit, share, limit, text)
