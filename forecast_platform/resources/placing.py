"""Of which region and week each row of a file is, and on which day it was known.

Rows under contract names in and out, a batch at a time; how they came by their names is in
`contract_rows`. Those of region-weeks that nobody asked for are counted here and let go.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast_platform.errors import BadFile
from forecast_platform.partitions import RegionWeek, parse_week, weeks
from forecast_platform.resources.contract_rows import Mapped, no_rows, replaced
from forecast_platform.resources.delivered_files import DeliveredFile, TakenFile
from forecast_platform.resources.row_digests import NO_ROWS_SHA256, RowDigests, places_of
from forecast_platform.resources.sources import Source
from forecast_platform.schemas.batches import plain, together
from forecast_platform.schemas.codes import REFUSAL, Code, refusal_text
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK, LAST_DAY
from forecast_platform.vocabulary import DS, REGION, WEEK

ONE_WEEK: Final = pd.Timedelta(weeks=1)
MAX_ROWS_UNTOLD: Final = 2**19
"""Rows at the beginning of a file that may wait for the first one that tells its week."""

_LAST_DAY: Final = pa.scalar(LAST_DAY.to_pytimedelta(), pa.duration("us"))
_DATE_HELP: Final = "write dates so, or compute them with {sql: ...} in the sources file"


def place_rows(
    name: str, source: Source, one: DeliveredFile, parts: Iterable[Mapped]
) -> Iterator[pa.Table]:
    """Say of each row its region, at the close of which week it was known, and on which day.

    Raises
    ------
    BadFile
        If no row tells its week.
    """
    columns = no_rows(name).column_names
    for rows, known in _with_week(name, source, one, _with_region(one, parts)):
        placed = rows.append_column("source_file", _repeated(one.file, rows))
        placed = placed.append_column(WEEK, known)
        placed = placed.append_column("known_on", _known_on(one, placed[WEEK]))
        yield _refuse_other_weeks(one, placed).select(columns)


@dataclass(frozen=True, slots=True)
class Selected:
    """What a file says of the region-weeks that were asked for.

    Attributes
    ----------
    rows : pyarrow.Table
        Compact when they are many.
    digests : dict of RegionWeek to str
        Of the rows of each region-week; empty for a file of one.
    elsewhere : collections.Counter of RegionWeek
        Rows of region-weeks that were not asked for. A region that is missing is empty.
    """

    rows: pa.Table
    digests: dict[RegionWeek, str]
    elsewhere: Counter[RegionWeek]

    def taken(self, one: DeliveredFile, sha256: str, keys: Sequence[RegionWeek]) -> list[TakenFile]:
        """Say for which of ``keys`` the file counts as delivered, and what it says of each."""
        if one.is_of_one:
            return [TakenFile(key, one, sha256, sha256) for key in keys]
        return [
            TakenFile(key, one, sha256, self.digests.get(key, NO_ROWS_SHA256))
            for key in keys
            if one.week is not None or key in self.digests
        ]


def select(one: DeliveredFile, parts: Iterable[pa.Table], keys: Sequence[RegionWeek]) -> Selected:
    """Keep the placed rows of ``keys``, and count the others."""
    if one.is_of_one:
        return Selected(together(parts), {}, Counter())
    asked = pd.MultiIndex.from_tuples(keys)
    digests = RowDigests()
    elsewhere: Counter[RegionWeek] = Counter()

    def kept() -> Iterator[pa.Table]:
        for rows in parts:
            places = places_of(rows)
            is_asked = places.isin(asked)
            own = rows if is_asked.all() else rows.filter(pa.array(is_asked))
            digests.add(own, places[is_asked])
            elsewhere.update(_count(places[~is_asked]))
            yield own

    rows = together(kept())
    return Selected(rows, digests.found(), elsewhere)


def _repeated(text: str, rows: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows.num_rows)


def _count(places: pd.MultiIndex) -> Counter[RegionWeek]:
    """Count rows by region-week."""
    counted = places.to_frame(index=False).groupby([REGION, WEEK]).size()
    return Counter({_place(place): int(n_rows) for place, n_rows in counted.items()})


def _place(place: Any) -> RegionWeek:
    region, week = place
    return RegionWeek.of(region, week)


def _with_region(one: DeliveredFile, parts: Iterable[Mapped]) -> Iterator[pa.Table]:
    """Say of each row its region; one that could not be read is of the region before it."""
    if one.region is not None:
        for some in parts:
            yield replaced(some.table, REGION, _repeated(one.region, some.table))
        return

    def told() -> Iterator[_Told]:
        for some in parts:
            regions = plain(some.table.select([REGION]))[REGION].to_pandas()
            yield _Told(some.table, regions, some.is_bad)

    for some, filled in _carried(told(), f"{one.file}: it begins with rows of no region"):
        if not some.is_needed.any():
            yield some.rows
            continue
        regions = some.tells.where(~some.is_needed, filled)
        yield replaced(some.rows, REGION, pa.array(regions, pa.string(), from_pandas=True))


def _with_week(
    name: str, source: Source, one: DeliveredFile, parts: Iterable[pa.Table]
) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Say of each row at the close of which week it was known.

    A row of a file of many weeks whose date cannot be read goes with the row before it: in every
    run it comes before the contract in the same week, and is refused there.
    """
    first = pd.Timestamp(source.known_from) if source.known_from is not None else None
    known_by = CONTRACTS[name].known_by
    if one.week is not None or known_by is None:
        week = one.week or first or parse_week(weeks.get_first_partition_key() or "")
        for rows in parts:
            scalar = pa.scalar(week.to_pydatetime(), pa.timestamp("us"))
            yield rows, pa.repeat(scalar, rows.num_rows)
        return

    def told() -> Iterator[_Told]:
        for rows in parts:
            known = _mondays(rows, known_by) - source.known_weeks_before * ONE_WEEK
            yield _Told(rows, known, np.ones(rows.num_rows, dtype=bool))

    problem = f"{one.file}: no row has a date YYYY-MM-DD that tells its week; {_DATE_HELP}"
    for some, filled in _carried(told(), problem):
        if len(filled) and filled.isna().all():
            raise BadFile(problem)
        known = filled if first is None else filled.mask(filled < first, first)
        yield some.rows, pa.array(known.astype("datetime64[us]"), pa.timestamp("us"))


def _mondays(rows: pa.Table, column: str) -> pd.Series:
    """Read the Monday of the week that each row names; NaT where it names no day."""
    text = plain(rows.select([column]))[column].to_pandas()
    text = text.astype("str").str.strip().str.slice(0, 10)
    days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    return days - pd.to_timedelta(days.dt.dayofweek, unit="D")


@dataclass(frozen=True, slots=True)
class _Told:
    """Some rows, what each of them tells, and which of them must tell something."""

    rows: pa.Table
    tells: pd.Series
    is_needed: NDArray[np.bool_]


def _carried(parts: Iterable[_Told], problem: str) -> Iterator[tuple[_Told, pd.Series]]:
    """Fill what rows do not tell with what the last row before them told, or the first after.

    Rows at the beginning of a file wait for the first that tells. What is yielded is missing when
    no row of the file told anything.

    Raises
    ------
    BadFile
        With ``problem``, when too many wait.
    """
    waiting: list[_Told] = []
    last: Any = None
    for some in parts:
        if last is None and (waiting or some.is_needed.any()) and some.tells.isna().all():
            waiting.append(some)
            n_rows = sum(one.rows.num_rows for one in waiting)
            if n_rows > MAX_ROWS_UNTOLD:
                raise BadFile(f"{problem} (none of its first {n_rows} rows)")
            continue
        filled = some.tells.ffill() if last is None else some.tells.ffill().fillna(last)
        filled = filled.bfill()
        for one in waiting:
            first = pd.Series(filled.iloc[0], index=one.tells.index, dtype=filled.dtype)
            yield one, first
        waiting = []
        yield some, filled
        if len(filled) and pd.notna(filled.iloc[-1]):
            last = filled.iloc[-1]
    yield from ((one, one.tells) for one in waiting)


def _refuse_other_weeks(one: DeliveredFile, rows: pa.Table) -> pa.Table:
    """Refuse rows about another week than the path names by ``{ds}``."""
    if one.ds is None:
        return rows
    column = DELIVERED_WEEK if DELIVERED_WEEK in rows.column_names else DS
    about = rows[column].to_pandas().astype("str").str.strip()
    told = rows[REFUSAL].to_pandas().astype("object")
    path_week = f"{one.ds:%Y-%m-%d}"
    wrong = told.isna() & (pd.to_datetime(about.str.slice(0, 10), errors="coerce") != one.ds)
    told[wrong] = [
        refusal_text(
            Code.OTHER_WEEK,
            f"is not the week that the path names, {path_week}",
            column=DS if column == DS else WEEK,
            value=value,
        )
        for value in about[wrong]
    ]
    return replaced(rows, REFUSAL, pa.array(told, pa.string(), from_pandas=True))


def _known_on(one: DeliveredFile, weeks_known: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if one.delivered is not None:
        day = pa.scalar(one.delivered.to_pydatetime(), pa.timestamp("us"))
        return pa.repeat(day, len(weeks_known))
    return pc.add(weeks_known, _LAST_DAY)  # pyright: ignore[reportAttributeAccessIssue]
