"""The manifest: which model serves each segment of a region, read from the table `promotion`.

Who is promoted is decided in the promotion asset; loading what is named here is in `serving`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import CUTOFF, REGION, WEEK

PROMOTION = "promotion"
HISTORY_WEEKS = 53
"""Weeks that are read of a manifest: every week has a row of every model, so that the newest and
the champion before it are among them; older ones are beyond any age at which a model serves."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """Promotions of one region up to a week.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of the form `Promotion`; the newest row of a model name says who serves.
    """

    rows: pd.DataFrame

    def champion(self, name: str) -> Row | None:
        """Newest row of a model name, also one without a champion; None if it was never judged."""
        own = self.rows[self.rows["model_name"] == name]
        return records(own.sort_values(WEEK).tail(1))[0] if len(own) else None

    def previous(self, name: str) -> Row | None:
        """Newest row of another champion, older than the one that serves; None if there is none.

        Older by training: after a rollback, the model that was withdrawn is no former champion.
        """
        serving = self.champion(name)
        if serving is None or pd.isna(serving["champion_version"]):
            return None
        own = self.rows[self.rows["model_name"] == name].dropna(subset=["champion_version"])
        older = own[
            (own["champion_version"] != serving["champion_version"])
            & (own[CUTOFF] < serving[CUTOFF])
        ]
        return records(older.sort_values([CUTOFF, WEEK]).tail(1))[0] if len(older) else None

    def find(self, name: str, version: int) -> Row | None:
        """Newest row in which one version serves; None if it never did."""
        own = self.rows[self.rows["model_name"] == name].dropna(subset=["champion_version"])
        own = own[own["champion_version"] == version]
        return records(own.sort_values(WEEK).tail(1))[0] if len(own) else None

    @property
    def newest(self) -> dict[str, Row]:
        """Newest row of every model name."""
        names = sorted(self.rows["model_name"].unique()) if len(self.rows) else []
        found = {name: self.champion(name) for name in names}
        return {name: row for name, row in found.items() if row is not None}


def manifest_at(key: RegionWeek, tables: Snapshot) -> Manifest:
    """Read who serves as of a week; nobody if nothing was ever judged."""
    if not tables.exists(PROMOTION):
        return Manifest(no_promotions())
    return Manifest(read_promotions(tables, [key.region], key.week))


def read_promotions(
    tables: Snapshot, regions: Sequence[str], until: pd.Timestamp, since: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Read the promotions of some regions up to a week: of the last year, or else all there are.

    Parameters
    ----------
    tables : Snapshot
    regions : Sequence[str]
    until : pandas.Timestamp
        Last week.
    since : pandas.Timestamp, optional
        A year before this week is read; before ``until`` by default.
    """
    first = (since or until) - pd.Timedelta(weeks=HISTORY_WEEKS)
    rows = tables.read(PROMOTION, region=list(regions), since=first, until=until)
    if set(rows["region"]) == set(regions):
        return rows
    return tables.read(PROMOTION, region=list(regions), until=until)


def newest_manifest(lake: Lake, regions: Sequence[str], weeks: int = 1) -> Manifest:
    """Read the newest weeks of some regions, each by its own calendar.

    Parameters
    ----------
    lake : Lake
    regions : Sequence[str]
    weeks : int, default=1
        How many; a champion before the one that serves needs more than one.
    """
    newest: dict[str, list[pd.Timestamp]] = {}
    for entry in lake.open(PROMOTION).partitions():
        if entry[REGION] in regions:
            newest.setdefault(entry[REGION], []).append(pd.Timestamp(entry[WEEK]).as_unit("us"))
    wanted = {region: sorted(set(found))[-weeks:] for region, found in newest.items()}
    if not wanted:
        return Manifest(no_promotions())
    every = sorted({week for found in wanted.values() for week in found})
    rows = lake.read(PROMOTION, region=sorted(wanted), weeks=every)
    pairs = zip(rows[REGION], rows[WEEK], strict=True)
    return Manifest(rows[[week in wanted[region] for region, week in pairs]])


def no_promotions() -> pd.DataFrame:
    """Make a table of promotions without a row."""
    return pd.DataFrame(columns=["model_name", WEEK, "champion_version", CUTOFF, "verdict"])


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn rows into mappings from column to value."""
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.itertuples(index=False)]


def concatenated(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put promotions together, leaving out tables without rows."""
    filled = [rows for rows in parts if len(rows)]
    return pd.concat(filled) if filled else no_promotions()
