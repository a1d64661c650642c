"""The lake: Delta tables partitioned by region and week, read as of a week, written atomically.

What a table means is said in `forecast_platform.schemas`; which asset writes it, in
`forecast_platform.assets`. `deltalake` cannot be used after a fork: start processes by spawn.
See https://delta-io.github.io/delta-rs/.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pydantic import Field

from forecast_platform.errors import TableMissing, WriteConflict, WriteRefused
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake_files import read_files
from forecast_platform.resources.lake_keys import (
    TABLE_PATTERN,
    build_filters,
    build_predicate,
    checked_extra,
    checked_keys,
    spans_of,
)
from forecast_platform.resources.lake_rows import Batches, Fitted, Parts, fit, to_arrow, to_pandas
from forecast_platform.vocabulary import REGION, WEEK

FILE_FORMAT: Final = WriterProperties(
    compression="LZ4_RAW",
    default_column_properties=ColumnProperties(dictionary_enabled=False),
)
"""One write holds a file open for each region-week, and a dictionary for each of its columns.

Measured on 392 region-weeks of 68 columns: with dictionaries and snappy, the default, 2.3 GB and
1.5 s; without and with LZ4, 0.4 GB and 0.3 s, in files of the same size (features: 41 MB and 42).
"""

WRITTEN_ROWS: Final = 2**16
"""Rows that the writer is handed at a time: it copies what it is working on."""

_TOLD: Final = ("provenance", "region_weeks", "extra_keys")
"""JSON in the metadata of a commit."""

FSSPEC_ONLY: Final = frozenset({"connection_string"})
"""Storage options that only fsspec understands; see ``Settings.storage_options``."""


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """What one commit did.

    Attributes
    ----------
    version : int
        Version of the table that the commit made.
    rows : int
        Rows written.
    rows_of : dict of RegionWeek to int
        Rows of each region-week, also of those that are empty now.
    """

    table: str
    version: int
    rows: int
    rows_of: Mapping[RegionWeek, int] = field(default_factory=dict)


class Lake(dg.ConfigurableResource):
    """Versioned tables, by region and week, in a folder or a bucket."""

    uri: str = Field(description="Folder or URI that holds one folder per table.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Credentials and endpoints, as deltalake names them."
    )
    audit_days: int = Field(
        default=730, ge=1, description="How long old versions can be read [days]."
    )
    git_commit: str = Field(default="unknown", description="Commit of the code, kept per commit.")
    max_tries: int = Field(
        default=30, ge=1, description="Tries of one commit against concurrent writers."
    )

    def read(
        self,
        table: str,
        *,
        region: str | Sequence[str] | None = None,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        weeks: Sequence[pd.Timestamp] | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        where: Mapping[str, str] | None = None,
        kept: pads.Expression | None = None,
    ) -> pd.DataFrame:
        """Read rows of some regions and weeks, in order of region and week.

        Parameters
        ----------
        table : str
            Name of the table.
        region : str or sequence of str, optional
            Regions to read; all of them by default.
        since, until : pandas.Timestamp, optional
            First and last week, both included.
        weeks : sequence of pandas.Timestamp, optional
            Exactly these weeks.
        columns : sequence of str, optional
            Columns, in this order; all of them by default.
        version : int, optional
            Version of the table; the latest by default.
        where : mapping of str to str, optional
            Values of further partition columns, as ``{"source": "shipments"}``.
        kept : pyarrow.dataset.Expression, optional
            Which of these rows to keep; it may name ``columns`` only.

        Returns
        -------
        pandas.DataFrame
            Dates as ``datetime64[us]``; ``attrs`` hold ``table`` and ``version``.

        Raises
        ------
        TableMissing
            If nobody has written the table, or not that version of it.
        """
        rows = self.read_arrow(
            table,
            region=region,
            since=since,
            until=until,
            weeks=weeks,
            columns=columns,
            version=version,
            where=where,
            kept=kept,
        )
        frame = to_pandas(rows)
        metadata = rows.schema.metadata or {}
        frame.attrs = {"table": table, "version": int(metadata[b"version"])}
        return frame

    def read_arrow(
        self,
        table: str,
        *,
        region: str | Sequence[str] | None = None,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        weeks: Sequence[pd.Timestamp] | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        where: Mapping[str, str] | None = None,
        kept: pads.Expression | None = None,
    ) -> pa.Table:
        """Read as ``read`` does, into an Arrow table whose metadata holds table and version."""
        source = self.open(table, version)
        filters = build_filters(region, since, until, weeks, where)
        names = (
            list(columns) if columns is not None else pa.schema(source.schema().to_arrow()).names
        )
        place = self.uri_of(table)
        folder = None if "://" in place else Path(place)
        try:
            rows = read_files(source, folder, names, filters, kept)
        except FileNotFoundError as error:
            raise TableMissing(
                f"version {source.version()} of table {table} can no longer be read, its files "
                f"were vacuumed: old versions are kept for {self.audit_days} days"
            ) from error
        return rows.replace_schema_metadata({"table": table, "version": str(source.version())})

    def write(
        self,
        table: str,
        rows: pd.DataFrame | pa.Table | Batches,
        keys: Iterable[RegionWeek],
        *,
        run_id: str,
        provenance: Mapping[str, Any] | None = None,
        allow_empty: bool = False,
        extra_keys: Mapping[str, str] | None = None,
    ) -> WriteReceipt:
        """Replace exactly these region-weeks by ``rows``, in one commit.

        Parameters
        ----------
        table : str
            Name of the table; it is made when it does not exist.
        rows : pandas.DataFrame, pyarrow.Table or Batches
            Must hold ``region`` and ``week``, and the columns of ``extra_keys``. Columns that
            the table does not know are added to it.
        keys : iterable of RegionWeek
            What is replaced.
        run_id : str
            Who writes; kept in the commit with ``git_commit``, ``provenance`` and the keys.
        provenance : mapping, optional
            What the rows were made from, as plain JSON values.
        allow_empty : bool, default=False
            Whether a key may have no rows, which empties it.
        extra_keys : mapping of str to str, optional
            Further partition columns, each with the one value that is replaced.

        Raises
        ------
        WriteRefused
            If a row is outside of ``keys``, a key has no row, or a column changed its type.
        WriteConflict
            If other writers kept winning.
        """
        replaced = checked_keys(table, keys)
        extra = checked_extra(extra_keys or {})
        parts = Parts.of(rows)
        rows_of = _count(table, parts, replaced, extra, allow_empty=allow_empty)
        predicate = build_predicate(replaced, extra)
        commit = self._describe(run_id, provenance, replaced, extra)
        version = self._commit(table, parts, predicate, commit, list(extra))
        return WriteReceipt(table, version, sum(rows_of.values()), rows_of)

    def append(
        self,
        table: str,
        rows: pd.DataFrame | pa.Table,
        *,
        run_id: str,
        partition_by: Sequence[str] = (),
    ) -> WriteReceipt:
        """Add rows to what is there, in one commit; writers at the same time all get through.

        Parameters
        ----------
        table : str
            Name of the table; it is made when it does not exist.
        rows : pandas.DataFrame or pyarrow.Table
            Must hold ``region`` and ``week``, and the columns of ``partition_by``.
        run_id : str
            Who writes; kept in the commit with ``git_commit`` and the region-weeks.
        partition_by : sequence of str, optional
            Further partition columns of a table that is made.

        Raises
        ------
        WriteRefused
            If there is no row, or a column changed its type.
        WriteConflict
            If other writers kept winning.
        """
        arrow = to_arrow(rows)
        places = arrow.select([REGION, WEEK]).group_by([REGION, WEEK]).aggregate([])
        added = [RegionWeek(one[REGION], pd.Timestamp(one[WEEK])) for one in places.to_pylist()]
        keys = checked_keys(table, added)
        parts = Parts.of(arrow)
        rows_of = _count(table, parts, keys, {}, allow_empty=False)
        commit = self._describe(run_id, None, keys, {})
        version = self._commit(table, parts, None, commit, list(partition_by))
        return WriteReceipt(table, version, arrow.num_rows, rows_of)

    def _describe(
        self,
        run_id: str,
        provenance: Mapping[str, Any] | None,
        keys: Sequence[RegionWeek],
        extra: Mapping[str, str],
    ) -> CommitProperties:
        """Say in the commit who wrote which region-weeks, from what."""
        return CommitProperties(
            custom_metadata={
                "run_id": run_id,
                "git_commit": self.git_commit,
                "provenance": json.dumps(dict(provenance or {}), sort_keys=True, default=str),
                "region_weeks": json.dumps(spans_of(keys)),
                "extra_keys": json.dumps(dict(extra), sort_keys=True),
            }
        )

    def version(self, table: str) -> int | None:
        """Latest version of a table, or None if there is no such table."""
        try:
            return self.open(table).version()
        except TableMissing:
            return None

    def state_of(self, table: str) -> tuple[int | None, ...]:
        """Say what reads of a table depend on: while it is the same, so are they."""
        return (self.version(table),)

    def column_names(self, table: str, version: int | None = None) -> list[str]:
        """Name the columns of a table, in order."""
        return pa.schema(self.open(table, version).schema().to_arrow()).names

    def exists(self, table: str) -> bool:
        """Whether somebody has written the table."""
        return DeltaTable.is_deltatable(self.uri_of(table), self.delta_options)

    def history(self, table: str, limit: int | None = None) -> list[dict[str, Any]]:
        """List commits of a table, the latest first, with run id, git commit and provenance.

        ``region_weeks`` are what a commit replaced, as of `spans_of`; ``extra_keys`` of which
        values of further partition columns.
        """
        return [_read_commit(commit) for commit in self.open(table).history(limit)]

    def weeks_of(self, table: str, region: str) -> list[pd.Timestamp]:
        """Weeks of which the table holds rows for a region, in order."""
        filters = build_filters(region, None, None, None, None)
        found = self.open(table).partitions(file_pruning_predicate=filters)
        return sorted({pd.Timestamp(str(entry[WEEK])).as_unit("us") for entry in found})

    @property
    def delta_options(self) -> dict[str, str]:
        """Storage options that deltalake understands."""
        return {k: v for k, v in self.storage_options.items() if k not in FSSPEC_ONLY}

    @property
    def retention(self) -> dict[str, str]:
        """Table properties that keep old versions for the audit period."""
        keep = f"interval {self.audit_days} days"
        return dict.fromkeys(
            ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"), keep
        )

    def uri_of(self, table: str) -> str:
        """Folder or URI of a table.

        Raises
        ------
        TableMissing
            If it is not the name of one.
        """
        if not TABLE_PATTERN.fullmatch(table):
            raise TableMissing(f"{table!r} is not a table name: use a-z, 0-9 and '_'")
        if "://" in self.uri:
            return f"{self.uri.rstrip('/')}/{table}"
        return str(Path(self.uri).expanduser().resolve() / table)

    def open(self, table: str, version: int | None = None) -> DeltaTable:
        """Open a table, for what `Lake` itself does not do.

        Raises
        ------
        TableMissing
            If nobody has written the table, or not that version of it.
        """
        try:
            return DeltaTable(
                self.uri_of(table), version=version, storage_options=self.delta_options
            )
        except DeltaError as error:
            if version is not None and self.exists(table):
                raise TableMissing(
                    f"table {table} has no version {version}; versions are kept for "
                    f"{self.audit_days} days: {error}"
                ) from error
            if isinstance(error, TableNotFoundError):
                raise TableMissing(
                    f"the lake at {self.uri} has no table {table}: materialize the asset first"
                ) from None
            raise

    def _commit(
        self,
        table: str,
        rows: "Parts",
        predicate: str | None,
        commit: CommitProperties,
        extra: Sequence[str],
    ) -> int:
        """Replace what fits the predicate; without one, add to what is there."""
        for attempt in range(self.max_tries):
            target = self._open_or_create(table, rows.schema, extra)
            fitted = fit(table, rows, target)
            try:
                _write_once(target, fitted, predicate, commit)
            except CommitFailedError:
                time.sleep(random.uniform(0.5, 1.5) * 0.05 * 2 ** min(attempt, 5))  # noqa: S311
            else:
                return target.version()
        raise WriteConflict(
            f"table {table}: {self.max_tries} commits lost against other writers; "
            "nothing was written, run it again when they are done"
        )

    def _open_or_create(self, table: str, schema: pa.Schema, extra: Sequence[str]) -> DeltaTable:
        if not self.exists(table):
            self._create(table, schema, extra)
        return self.open(table)

    def _create(self, table: str, schema: pa.Schema, extra: Sequence[str]) -> None:
        """Make an empty table; losing the race to make it is as good as winning."""
        if "://" not in self.uri:
            Path(self.uri_of(table)).mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(
                self.uri_of(table),
                schema=schema,
                mode="error",
                partition_by=[REGION, WEEK, *extra],
                storage_options=self.delta_options,
                configuration=self.retention,
            )
        except DeltaError:
            if not self.exists(table):
                raise


def _read_commit(commit: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: json.loads(commit.get(name, "{}")) for name in _TOLD}
    return {**commit, **told}


def _write_once(
    target: DeltaTable, fitted: Fitted, predicate: str | None, commit: CommitProperties
) -> None:
    refused: list[WriteRefused] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for part in fitted.parts:
                yield from part.to_batches(max_chunksize=WRITTEN_ROWS)
        except WriteRefused as error:  # the writer would tell of it as an error of its own
            refused.append(error)
            raise

    write = partial(
        write_deltalake,
        target,
        pa.RecordBatchReader.from_batches(fitted.schema, batches()),
        schema_mode="merge" if fitted.adds_columns else None,
        commit_properties=commit,
        writer_properties=FILE_FORMAT,
    )
    try:
        if predicate is None:
            write(mode="append")
        else:
            write(mode="overwrite", predicate=predicate)
    except DeltaError:
        if refused:
            raise refused[0] from None
        raise


def _count(
    table: str,
    rows: Parts,
    keys: Sequence[RegionWeek],
    extra: Mapping[str, str],
    *,
    allow_empty: bool,
) -> dict[RegionWeek, int]:
    """Count the rows of each key; refuse rows of other keys and keys without rows."""
    if missing := {REGION, WEEK, *extra} - set(rows.schema.names):
        raise WriteRefused(f"table {table}: the rows have no column {', '.join(sorted(missing))}")
    found: Counter[tuple[str, date]] = Counter()
    for part in rows.read():
        for name, value in extra.items():
            if part.num_rows and part[name].unique().to_pylist() != [value]:
                raise WriteRefused(f"table {table}: rows with another {name} than {value!r}")
        counted = part.group_by([REGION, WEEK]).aggregate([([], "count_all")]).to_pylist()
        found.update({(row[REGION], row[WEEK]): row["count_all"] for row in counted})
    rows_of = {key: found.pop((key.region, key.week.date()), 0) for key in keys}
    if found:
        shown = ", ".join(f"{region}|{week}" for region, week in list(found)[:5])
        raise WriteRefused(f"table {table}: rows outside of what is replaced: {shown}")
    empty = [key.key for key, count in rows_of.items() if not count]
    if empty and not allow_empty:
        raise WriteRefused(
            f"table {table}: no rows for {', '.join(empty[:5])}"
            f"{' and others' if len(empty) > 5 else ''}; an empty write would delete what is there"
        )
    return rows_of
