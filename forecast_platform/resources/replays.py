"""Rows that a person mended or discarded: kept in the lake, taken instead of the refused ones.

The customer's files are never touched. A decision is about one row of one file with one content:
when a file is delivered anew with another content, its old decisions are left alone. The table
`replayed_rows` only grows; the last decision about a row counts, and all of them can be read.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.batches import plain_frame
from forecast_platform.schemas.codes import REFUSAL, REPLAYED, Code, refusal_text
from forecast_platform.schemas.quality import Mending, ReplayedRows
from forecast_platform.schemas.tables import as_table

TABLE: Final = "replayed_rows"
ID_LENGTH: Final = 24
PLACE: Final = ["region", "week", "source_file", "source_row"]
NOT_OF_A_PERSON: Final = {*PLACE, "known_on", REFUSAL}
"""Columns that no mended row can change."""


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """The place of one delivered row: what its identifier is made of."""

    source: str
    key: RegionWeek
    file: str
    file_sha256: str
    row_number: int

    @property
    def row_id(self) -> str:
        """Name the row for good: the same row of the same content has the same name anywhere."""
        parts = (self.source, self.key.key, self.file, self.file_sha256, str(self.row_number))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:ID_LENGTH]


def place_of(record: Mapping[Hashable, object]) -> DeliveredRow:
    """Read the place of a row from a record of `quarantine` or `replayed_rows`."""
    return DeliveredRow(
        source=str(record["source"]),
        key=RegionWeek.of(record["region"], record["week"]),
        file=str(record["file"]),
        file_sha256=str(record["file_sha256"]),
        row_number=int(str(record["row_number"])),
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one delivered row.

    Attributes
    ----------
    place : DeliveredRow
    action : Mending
    row : mapping of str to str or None
        The row as it is to be read: text under contract names.
    who, why : str
    decided_at : str
        ISO 8601, UTC.
    """

    place: DeliveredRow
    action: Mending
    row: Mapping[str, str | None]
    who: str
    why: str
    decided_at: str


def record(lake: Lake, decisions: Sequence[Decision], *, run_id: str) -> int:
    """Keep decisions, those left out that are the last ones already.

    Returns
    -------
    int
        How many were added: none the second time.
    """
    known = {
        (one["row_id"], one["action"], one["row_json"])
        for source, keys in _places(decisions).items()
        for one in read(lake, source, keys).to_dict("records")
    }
    records = [_record_of(one) for one in decisions]
    new = [one for one in records if (one["row_id"], one["action"], one["row_json"]) not in known]
    if new:
        rows = as_table(pd.DataFrame(new), ReplayedRows)
        lake.append(TABLE, ReplayedRows.validate(rows), run_id=run_id, partition_by=["source"])
    return len(new)


def read(lake: Lake, source: str, keys: Sequence[RegionWeek]) -> pd.DataFrame:
    """Read the last decision about each row of some region-weeks of a source.

    Returns
    -------
    pandas.DataFrame
        Of the form `ReplayedRows`; without rows when nothing was ever decided.
    """
    if not keys or not lake.exists(TABLE):
        return _no_rows()
    rows = lake.read(
        TABLE,
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
        where={"source": source},
    )
    if rows.empty:
        return _no_rows()
    rows = rows[pd.MultiIndex.from_frame(rows[["region", "week"]]).isin(list(keys))]
    # the JSON settles which of two decisions of the same microsecond counts, in every run alike
    rows = rows.sort_values(["row_id", "decided_at", "action", "row_json"])
    return rows.drop_duplicates("row_id", keep="last").reset_index(drop=True)


def apply(
    rows: pd.DataFrame, decisions: pd.DataFrame, digests: Mapping[tuple[RegionWeek, str], str]
) -> pd.DataFrame:
    """Put what persons decided into delivered rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        Text under contract names, with region, week, source_file and source_row.
    decisions : pandas.DataFrame
        As `read` gives them.
    digests : mapping
        SHA-256 of each file, by region-week and name: a decision about another content of the
        file is left alone.

    Returns
    -------
    pandas.DataFrame
        The same rows in the same order, with `REPLAYED`; discarded ones are refused as such.
    """
    rows = rows.reset_index(drop=True).assign(**{REPLAYED: False})
    standing = [one for one in decisions.to_dict("records") if _stands(one, digests)]
    if not standing:
        return rows
    if REFUSAL not in rows.columns:
        rows[REFUSAL] = pd.Series(None, index=rows.index, dtype="object")
    rows = plain_frame(rows)  # a category takes no text that is new to it
    may_be_meant = rows[rows["source_row"].isin({one["row_number"] for one in standing})]
    places = pd.MultiIndex.from_frame(may_be_meant[PLACE])
    position = dict(zip(places, may_be_meant.index, strict=True))
    for one in standing:
        at = position.get((one["region"], one["week"], one["file"], one["row_number"]))
        if at is None:
            continue
        if one["action"] == Mending.DISCARD:
            told = f"was discarded by {one['who']}: {one['why']}"
            rows.loc[at, REFUSAL] = refusal_text(Code.DISCARDED, told)
            continue
        for column, text in json.loads(str(one["row_json"])).items():
            if column in rows.columns and column not in NOT_OF_A_PERSON:
                rows.loc[at, column] = text
        rows.loc[at, REFUSAL] = None
        rows.loc[at, REPLAYED] = True
    return rows


def _stands(
    decision: Mapping[Hashable, object], digests: Mapping[tuple[RegionWeek, str], str]
) -> bool:
    place = place_of(decision)
    return digests.get((place.key, place.file)) == place.file_sha256


def _record_of(decision: Decision) -> dict[str, object]:
    place = decision.place
    return {
        "region": place.key.region,
        "week": place.key.week,
        "source": place.source,
        "row_id": place.row_id,
        "file": place.file,
        "file_sha256": place.file_sha256,
        "row_number": place.row_number,
        "action": str(decision.action),
        "row_json": json.dumps(dict(decision.row), sort_keys=True, ensure_ascii=False),
        "who": decision.who,
        "why": decision.why,
        "decided_at": decision.decided_at,
    }


def _places(decisions: Sequence[Decision]) -> dict[str, list[RegionWeek]]:
    found: dict[str, dict[RegionWeek, None]] = {}
    for one in decisions:
        found.setdefault(one.place.source, {})[one.place.key] = None
    return {source: list(keys) for source, keys in found.items()}


def _no_rows() -> pd.DataFrame:
    return as_table(pd.DataFrame(columns=list(ReplayedRows.to_schema().columns)), ReplayedRows)
