"""Which delivered rows are accepted, which refused and why: every row is accounted for.

The laws themselves are the contracts in `schemas.raw` and the forms in `schemas.parsing`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pandas as pd
from pandera.errors import SchemaErrors

from forecast_platform.schemas.batches import frames, frames_together, plain_frame
from forecast_platform.schemas.codes import REFUSAL, REPLAYED, Code
from forecast_platform.schemas.parsing import no_refusals, parse
from forecast_platform.schemas.raw import DELIVERED_WEEK, LAST_DAY, Contract
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import DS, WEEK

ORIGIN = ["region", "week", "known_on", "source_file", "source_row"]
PLACE = ["region", "week", "source_file"]


@dataclass(frozen=True)
class Accepted:
    """What became of delivered rows.

    Attributes
    ----------
    table : pandas.DataFrame
        Rows that satisfy the contract; compact as `schemas.batches` says when they are many.
    delivered : pandas.DataFrame
        All rows, as text; compact when they came so.
    refused : pandas.DataFrame
        ``code``, ``column``, ``reason``, ``value``, indexed like ``delivered``.
    duplicates : pandas.Index
        Rows that repeat another row of their region and week exactly.
    """

    table: pd.DataFrame
    delivered: pd.DataFrame
    refused: pd.DataFrame
    duplicates: pd.Index

    def counts_of(self, region: str, week: pd.Timestamp, file: str) -> dict[str, int]:
        """Count the rows of one file in one region-week by what became of them."""
        return dict(self._counts.get((region, week, file), _NO_ROWS))

    def reasons_of(self, region: str, week: pd.Timestamp, file: str) -> dict[str, int]:
        """Count the refused rows of one file in one region-week by code."""
        return dict(self._reasons.get((region, week, file), {}))

    @cached_property
    def _reasons(self) -> dict[tuple[str, pd.Timestamp, str], dict[str, int]]:
        places = plain_frame(self.delivered.loc[self.refused.index, PLACE])
        counted = places.assign(code=self.refused["code"]).value_counts(sort=False).reset_index()
        found: dict[tuple[str, pd.Timestamp, str], dict[str, int]] = {}
        for one in counted.sort_values("code").to_dict("records"):
            place = (one["region"], one["week"], one["source_file"])
            found.setdefault(place, {})[str(one["code"])] = int(one["count"])
        return found

    @cached_property
    def _counts(self) -> dict[tuple[str, pd.Timestamp, str], dict[str, int]]:
        fates = {
            "rows_read": self.delivered[PLACE],
            "rows_accepted": self.table[PLACE],
            "rows_quarantined": self.delivered.loc[self.refused.index, PLACE],
            "rows_duplicate": self.delivered.loc[self.duplicates, PLACE],
        }
        found: dict[tuple[str, pd.Timestamp, str], dict[str, int]] = {}
        for fate, rows in fates.items():
            for place, count in rows.groupby(PLACE, observed=True).size().items():
                key = cast("tuple[str, pd.Timestamp, str]", place)
                found.setdefault(key, dict(_NO_ROWS))[fate] = int(count)
        return found

    def quarantine(self, source: str, digests: Mapping[str, str]) -> pd.DataFrame:
        """Make the rows of the table `quarantine`.

        Parameters
        ----------
        source : str
        digests : mapping of str to str
            SHA-256 of each file, by name.
        """
        rows = plain_frame(self.delivered.loc[self.refused.index])
        found = rows["source_file"].map(dict(digests)).astype("str")
        texts = rows.drop(columns=[*ORIGIN, REFUSAL, REPLAYED], errors="ignore")
        as_json = [json.dumps(row, default=str) for row in texts.to_dict("records")]
        return pd.DataFrame(
            {
                "region": rows["region"],
                "week": rows["week"],
                "source": source,
                "file": rows["source_file"],
                "file_sha256": found,
                "row_number": rows["source_row"],
                "code": self.refused["code"],
                "column": self.refused["column"],
                "reason": self.refused["reason"],
                "value": self.refused["value"],
                "row_json": pd.Series(as_json, index=rows.index, dtype="str"),
            }
        )


_NO_ROWS = {"rows_read": 0, "rows_accepted": 0, "rows_quarantined": 0, "rows_duplicate": 0}


def accept(rows: pd.DataFrame, contract: Contract, *, allow_corrections: bool = False) -> Accepted:
    """Judge delivered rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        Text under contract names, with region, week, source_file and source_row; the rows of a
        later file come after those of an earlier one. ``known_on`` is the Sunday of the week
        unless the rows say it.
    contract : Contract
        What they are held to.
    allow_corrections : bool, default=False
        Whether rows may be about an earlier week than the one they were delivered in.

    Notes
    -----
    A row that repeats another exactly is dropped. Of two rows of one file with the same key and
    other values both are refused: nobody can tell which is right. When they are in two files,
    the later file is a correction and the earlier row is kept in quarantine.
    """
    rows = rows.reset_index(drop=True)
    if "known_on" not in rows.columns:
        rows["known_on"] = rows[WEEK] + LAST_DAY
    found: list[pd.DataFrame] = []

    def right_ones() -> Iterator[pd.DataFrame]:
        for some in frames(rows):
            right, refused = _by_itself(some, contract, allow_corrections=allow_corrections)
            found.extend(refused)
            yield right

    table = frames_together(right_ones())
    # no other row can repeat, contradict or replace these
    shared = plain_frame(table[table.duplicated(_key(contract), keep=False)])
    kept, duplicates = _unrepeated(shared)
    kept, wrong = _unambiguous(kept, contract)
    found.append(wrong)
    kept, repeats, wrong = _latest(kept, contract)
    found.append(wrong)
    dropped = shared.index.difference(kept.index)
    table = table.drop(index=dropped) if len(dropped) else table
    refused = pd.concat([one for one in found if len(one)] or found[:1])
    return Accepted(table, rows, refused.sort_index(), duplicates.append(repeats))


def _by_itself(
    rows: pd.DataFrame, contract: Contract, *, allow_corrections: bool
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Judge each row without the others."""
    kinds = {DELIVERED_WEEK if c == WEEK else c: kind for c, kind in contract.kinds.items()}
    before = _refused_before(rows)
    judged = rows.drop(columns=[REFUSAL, REPLAYED], errors="ignore").drop(index=before.index)
    parsed = parse(judged, kinds, contract.nullable)
    found = [parsed.refused, before]
    table = parsed.table
    if contract.names_its_week:
        table, wrong = _of_their_week(table, allow_corrections=allow_corrections)
        found.append(wrong)
    table, wrong = _sensible(table, contract)
    return table, [*found, wrong]


def _refused_before(rows: pd.DataFrame) -> pd.DataFrame:
    """Read the refusals of rows that could not be put into the contract's form."""
    if REFUSAL not in rows.columns:
        return no_refusals(rows.index)
    told = rows[REFUSAL].dropna()
    if told.empty:
        return no_refusals(rows.index)
    return pd.DataFrame([json.loads(one) for one in told], index=told.index)


def _refusal(code: Code, column: str, reason: pd.Series | str, value: pd.Series) -> pd.DataFrame:
    shown = value.astype("str")
    return pd.DataFrame(
        {"code": str(code), "column": column, "reason": reason, "value": shown}, index=value.index
    )


def _of_their_week(
    table: pd.DataFrame, *, allow_corrections: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Refuse rows of another week than that of their delivery, or of a later one."""
    table = table.assign(**{DS: table[DELIVERED_WEEK]})
    wrong = table[DS] > table[WEEK] if allow_corrections else table[DS] != table[WEEK]
    about = table.loc[wrong, DELIVERED_WEEK].dt.strftime("%Y-%m-%d")
    file_week = table.loc[wrong, "week"].dt.strftime("%Y-%m-%d")
    reason = "is not the week of its delivery, " + file_week
    return table[~wrong], _refusal(Code.OTHER_WEEK, WEEK, reason, about)


def _sensible(table: pd.DataFrame, contract: Contract) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold typed rows to the contract's values."""
    table = as_table(table, contract.schema).set_axis(table.index, axis=0)
    try:
        contract.schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].isna().any():
            raise
        cases = cases.drop_duplicates("index").set_index("index").sort_index()
        wrong = pd.DataFrame(
            {
                "code": str(Code.OUT_OF_BOUNDS),
                "column": cases["column"]
                .where(cases["schema_context"] == "Column", "")
                .astype(str),
                "reason": "fails " + cases["check"].astype(str),
                "value": cases["failure_case"].astype(str),
            }
        )
        wrong.index = wrong.index.astype(int)
        return table.drop(index=wrong.index), wrong
    return table, no_refusals(table.index)


def _unrepeated(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index]:
    """Drop rows that repeat another row of their file; other files may take a value back."""
    repeats = table.duplicated([c for c in table.columns if c != "source_row"])
    return table[~repeats], table.index[repeats]


def _unambiguous(table: pd.DataFrame, contract: Contract) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Refuse what has the same key and other values in one file."""
    in_file = table.duplicated([*_key(contract), "source_file"], keep=False)
    reason = "has the same key as another row of its file, with other values"
    wrong = table.loc[in_file, contract.key[0]]
    return table[~in_file], _refusal(Code.CONFLICTING, ", ".join(contract.key), reason, wrong)


def _latest(table: pd.DataFrame, contract: Contract) -> tuple[pd.DataFrame, pd.Index, pd.DataFrame]:
    """Keep the row of the last file; earlier ones repeat it or were replaced by it."""
    earlier = table.duplicated(_key(contract), keep="last")
    values = [c for c in table.columns if c not in ("known_on", "source_file", "source_row")]
    last = table.loc[~earlier, values]
    at_all = pd.concat([last, table.loc[earlier, values]])
    repeats = at_all.duplicated().loc[table.index[earlier]]
    replaced = repeats.index[~repeats]
    reason = "was replaced by a later file of the same week"
    wrong = table.loc[replaced, contract.key[0]]
    refused = _refusal(Code.SUPERSEDED, ", ".join(contract.key), reason, wrong)
    return table[~earlier], repeats.index[repeats], refused


def _key(contract: Contract) -> list[str]:
    return ["region", *dict.fromkeys(["week", *contract.key])]
