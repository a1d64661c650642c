"""The landing area: which files were delivered, and their rows as text under contract names.

Reads; never writes, moves or deletes what a customer delivered. What a value may look like and
what becomes of a row is in `forecast_platform.schemas`.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq
from pydantic import Field

from forecast_platform.errors import BadFile, ColumnsMissing, LandingMissing
from forecast_platform.partitions import RegionWeek, parse_week, weeks
from forecast_platform.resources.sources import (
    Constant,
    Expression,
    File,
    FileFormat,
    Required,
    Source,
    Sources,
    load_sources,
)
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK
from forecast_platform.vocabulary import WEEK

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DELTALAKE_ONLY: Final = ("azure_", "aws_", "allow_http")
"""Beginnings of storage options that fsspec does not understand."""

MAX_FILE_BYTES: Final = 2 * 1024**3
"""A larger file is refused: deliver it in parts."""

ONE_WEEK: Final = pd.Timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One file, before it is read.

    Attributes
    ----------
    region : str or None
        None when only the rows tell.
    week : pandas.Timestamp or None
        None when the file is of many weeks.
    file : str
        Path below the landing folder.
    """

    source: str
    region: str | None
    week: pd.Timestamp | None
    file: str
    size_bytes: int
    modified: object


@dataclass(slots=True)
class Delivery:
    """What was delivered for some region-weeks of one source.

    Attributes
    ----------
    rows : pandas.DataFrame
        Text under contract names, with ``region``, ``week``, ``source_file``, ``source_row``.
    files : list of tuple of RegionWeek, DeliveredFile and str
        Each region-week's files with their SHA-256.
    bad : dict of RegionWeek to str
        What is wrong with the files of a region-week that could not be read.
    """

    rows: pd.DataFrame
    files: list[tuple[RegionWeek, DeliveredFile, str]] = field(default_factory=list)
    bad: dict[RegionWeek, str] = field(default_factory=dict)


class Landing(dg.ConfigurableResource):
    """Delivered files, in a folder or a bucket."""

    uri: str = Field(description="Folder or URI below which files are delivered.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Credentials and endpoints, as fsspec names them."
    )
    sources_file: str | None = Field(
        default=None, description="YAML that maps files to contracts; default packaged."
    )

    def sources(self) -> Sources:
        """Read the sources file."""
        return load_sources(Path(self.sources_file) if self.sources_file else None)

    def source(self, name: str) -> Source | None:
        """Describe one source, or None when the customer does not deliver it."""
        return self.sources().sources.get(name)

    def required_sources(self) -> list[str]:
        """Name the sources that every week must have a file of."""
        return [
            name
            for name, source in self.sources().sources.items()
            if source.has_week and source.required is Required.WEEKLY
        ]

    def files(self) -> list[DeliveredFile]:
        """List every delivered file whose path names its region and week."""
        sources = self.sources().sources
        listed = self._list("")
        found: list[DeliveredFile] = []
        for name, source in sources.items():
            if source.has_week:
                found += [one for one in _matching(name, source, listed) if one.region and one.week]
        return found

    def sha256(self, file: DeliveredFile) -> str:
        """Digest the content of one file."""
        return hashlib.sha256(self._bytes(file.file)).hexdigest()

    def read(self, name: str, keys: Sequence[RegionWeek]) -> Delivery:
        """Read what was delivered for ``keys``, each file once.

        Raises
        ------
        LandingMissing
            If the landing folder itself does not exist or is empty.
        BadSources
            If the sources file is wrong.
        """
        source = self.source(name)
        empty = pd.DataFrame(columns=_columns_of(name), dtype="str")
        empty[WEEK] = empty[WEEK].astype("datetime64[us]")
        if source is None:
            return Delivery(empty)
        if source.has_week:
            return self._read_weekly(name, source, keys, empty)
        return self._read_of_many_weeks(name, source, keys, empty)

    def _read_weekly(
        self, name: str, source: Source, keys: Sequence[RegionWeek], empty: pd.DataFrame
    ) -> Delivery:
        asked = set(keys)
        delivery = Delivery(empty)
        parts: list[pd.DataFrame] = [empty]
        for one in self._delivered(name, source):
            for region in _regions_of(one, source, keys):
                key = RegionWeek(region, one.week) if one.week is not None else None
                if key is None or key not in asked:
                    continue
                try:
                    content = self._bytes(one.file)
                    rows = self._mapped(name, source, one, content)
                except BadFile as error:
                    delivery.bad[key] = str(error)
                    continue
                rows = _of_region(rows, region).assign(region=region, week=one.week)
                delivery.files.append((key, one, hashlib.sha256(content).hexdigest()))
                parts.append(rows)
        delivery.rows = _concat(parts)
        return delivery

    def _read_of_many_weeks(
        self, name: str, source: Source, keys: Sequence[RegionWeek], empty: pd.DataFrame
    ) -> Delivery:
        delivery = Delivery(empty)
        parts: list[pd.DataFrame] = [empty]
        for one in self._delivered(name, source):
            content = self._bytes(one.file)
            digest = hashlib.sha256(content).hexdigest()
            rows = self._mapped(name, source, one, content)
            rows = rows.assign(week=_known_week(name, source, rows, min(key.week for key in keys)))
            for region in _regions_of(one, source, keys):
                of_region = _of_region(rows, region).assign(region=region)
                for key in (key for key in keys if key.region == region):
                    of_key = of_region[of_region["week"] == key.week]
                    if len(of_key):
                        delivery.files.append((key, one, digest))
                        parts.append(of_key)
        delivery.rows = _concat(parts)
        return delivery

    def _delivered(self, name: str, source: Source) -> list[DeliveredFile]:
        prefix = source.path.split("{")[0].split("*")[0].rpartition("/")[0]
        listed = self._list(prefix)
        if not listed and not self._list(""):
            raise LandingMissing(
                f"the landing area {self.uri} is empty or does not exist: deliver files as "
                f"{source.path}, or name another folder in FORECAST_PLATFORM_LANDING_URI"
            )
        return sorted(_matching(name, source, listed), key=lambda one: one.file)

    def _mapped(
        self, name: str, source: Source, one: DeliveredFile, content: bytes
    ) -> pd.DataFrame:
        delivered = _as_text(source, one.file, content)
        if source.query is not None:
            tables = {"delivered": delivered} | {
                table: self._table(file) for table, file in source.tables.items()
            }
            delivered = _query(source.query, tables, one.file)
        rows = _map_columns(name, source, delivered, one.file)
        numbers = range(2, len(rows) + 2)
        return rows.assign(source_file=one.file, source_row=list(numbers))

    def _table(self, file: File) -> pa.Table:
        return _as_text(file, file.path, self._bytes(file.path))

    def _list(self, prefix: str) -> list[tuple[str, int, object]]:
        """List files below ``prefix``: path below the landing folder, size, time of change."""
        if "://" not in self.uri:
            return list(_list_local(Path(self.uri).expanduser(), prefix))
        system, root = self._filesystem()
        base = f"{root.rstrip('/')}/{prefix}".rstrip("/")
        try:
            found: Mapping[str, Any] = system.find(base, detail=True)
        except FileNotFoundError:
            return []
        return [
            (path[len(root.rstrip("/")) + 1 :], int(info["size"]), _modified(info))
            for path, info in found.items()
        ]

    def _bytes(self, file: str) -> bytes:
        """Read one file whole.

        Raises
        ------
        BadFile
            If it lies outside of the landing folder, is too large or has gone.
        """
        if "://" in self.uri:
            system, root = self._filesystem()
            return bytes(system.cat_file(f"{root.rstrip('/')}/{file}"))
        root_path = Path(self.uri).expanduser().resolve()
        path = (root_path / file).resolve()
        if not path.is_relative_to(root_path):
            raise BadFile(f"{file} leads out of the landing area: deliver the file itself")
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise BadFile(f"{file} is larger than {MAX_FILE_BYTES} bytes: deliver it in parts")
            return path.read_bytes()
        except OSError as error:
            raise BadFile(f"{file} cannot be read: {error.strerror}") from error

    def _filesystem(self) -> "tuple[AbstractFileSystem, str]":
        from fsspec.core import url_to_fs

        options = {
            name: value
            for name, value in self.storage_options.items()
            if not name.startswith(DELTALAKE_ONLY)
        }
        system, root = url_to_fs(self.uri, **options)
        system.invalidate_cache()
        return system, root


def _list_local(root: Path, prefix: str) -> Iterator[tuple[str, int, object]]:
    for path in (root / prefix).rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            stat = path.stat()
            yield path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns


def _modified(info: Mapping[str, Any]) -> object:
    changed = info.get("last_modified") or info.get("mtime") or info.get("LastModified") or ""
    return changed.isoformat() if isinstance(changed, datetime) else changed


def _matching(
    name: str, source: Source, listed: Iterable[tuple[str, int, object]]
) -> Iterator[DeliveredFile]:
    for path, size, modified in listed:
        match = source.pattern.fullmatch(path)
        if match is None:
            continue
        named = match.groupdict()
        try:
            week = parse_week(named["week"]).as_unit("us") if named.get("week") else None
        except ValueError:
            continue  # a folder that no partition has; `forecast-platform status` lists weeks
        region = named.get("region") or source.region
        yield DeliveredFile(name, region, week, path, size, modified)


def _regions_of(one: DeliveredFile, source: Source, keys: Sequence[RegionWeek]) -> list[str]:
    """Regions of the run that a file may hold rows of."""
    regions = sorted({key.region for key in keys})
    if one.region is not None:
        return [one.region] if one.region in regions else []
    return regions if "region" in source.columns else []


def _of_region(rows: pd.DataFrame, region: str) -> pd.DataFrame:
    return rows[rows["region"] == region] if "region" in rows.columns else rows


def _concat(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return pd.concat(filled, ignore_index=True)


def _columns_of(name: str) -> list[str]:
    delivered = [DELIVERED_WEEK if one == WEEK else one for one in CONTRACTS[name].kinds]
    return [*delivered, "region", "week", "source_file", "source_row"]


def _known_week(
    name: str, source: Source, rows: pd.DataFrame, first_asked: pd.Timestamp
) -> pd.Series:
    """Week at whose close each row of a file of many weeks was known.

    A row whose date cannot be read belongs to the first week that is asked for, so that it
    comes before the contract and is refused there.
    """
    contract = CONTRACTS[name]
    first = parse_week(weeks.get_first_partition_key() or "").as_unit("us")
    if contract.known_by is None:
        known = pd.Timestamp(source.known_from).as_unit("us") if source.known_from else first
        return pd.Series(known, index=rows.index, dtype="datetime64[us]")
    text = rows[contract.known_by].str.slice(0, 10)
    days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    mondays = days - pd.to_timedelta(days.dt.dayofweek, unit="D")
    known = mondays - source.known_weeks_before * ONE_WEEK
    if source.known_from is not None:
        known = known.clip(lower=pd.Timestamp(source.known_from))
    return known.fillna(first_asked).astype("datetime64[us]")


def _as_text(file: File, path: str, content: bytes) -> pa.Table:
    """Read a file with every value as text.

    Raises
    ------
    BadFile
        If it is not what its format says: truncated, another format, another encoding.
    """
    try:
        content = _unpacked(path, content)
        return _PARSERS[file.format](file, content)
    except (pa.ArrowException, ValueError, UnicodeError, OSError, KeyError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadFile(
            f"{path} cannot be read as {file.format}: {reason}. It may be truncated or of another "
            "format; nothing of it was taken. Deliver it again"
        ) from error


def _unpacked(path: str, content: bytes) -> bytes:
    if not path.endswith(".gz"):
        return content
    import gzip

    with gzip.open(io.BytesIO(content)) as packed:
        unpacked = packed.read(MAX_FILE_BYTES + 1)
    if len(unpacked) > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_FILE_BYTES} bytes")
    return unpacked


def _csv(file: File, content: bytes) -> pa.Table:
    head = content.split(b"\n", 1)[0].decode(file.encoding).lstrip("\ufeff").strip("\r")
    if not head:
        raise ValueError("it is empty, not even a header")
    names = next(csv.reader([head], delimiter=file.delimiter))
    if len(set(names)) != len(names):
        raise ValueError(f"its header names a column twice: {', '.join(names)}")
    return pacsv.read_csv(
        io.BytesIO(content),
        read_options=pacsv.ReadOptions(encoding=file.encoding, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=file.delimiter),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _parquet(_: File, content: bytes) -> pa.Table:
    return _stringified(pq.read_table(io.BytesIO(content), page_checksum_verification=True))


def _jsonl(_: File, content: bytes) -> pa.Table:
    return _stringified(pajson.read_json(io.BytesIO(content)))


def _excel(file: File, content: bytes) -> pa.Table:
    sheet = file.sheet if file.sheet is not None else 0
    frame = pd.read_excel(io.BytesIO(content), sheet_name=sheet, dtype=str, engine="openpyxl")
    return pa.Table.from_pandas(frame.astype("str"), preserve_index=False)


_PARSERS: Final = {
    FileFormat.CSV: _csv,
    FileFormat.PARQUET: _parquet,
    FileFormat.JSONL: _jsonl,
    FileFormat.EXCEL: _excel,
}


def _stringified(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([pa.field(name, pa.string()) for name in table.column_names]))


def _map_columns(name: str, source: Source, delivered: pa.Table, path: str) -> pd.DataFrame:
    """Give delivered columns their contract names.

    Raises
    ------
    ColumnsMissing
        If a delivered column is not there.
    """
    wanted = [*CONTRACTS[name].kinds, *(["region"] if "region" in source.columns else [])]
    mapping = {column: source.columns.get(column, column) for column in wanted}
    missing = [
        (column, origin)
        for column, origin in mapping.items()
        if isinstance(origin, str) and origin not in delivered.column_names
    ]
    absent = [pair for pair in missing if pair[0] not in CONTRACTS[name].nullable]
    if absent:
        listed = ", ".join(origin for _, origin in absent)
        raise ColumnsMissing(
            f"{path} has no column {listed}; it has {', '.join(delivered.column_names)}. Rename "
            f"it in the file, or map it under sources.{name}.columns in the sources file"
        )
    expressions = {c: o for c, o in mapping.items() if isinstance(o, Expression)}
    computed = _compute(expressions, delivered, path) if expressions else None
    columns: dict[str, Any] = {}
    for column, origin in mapping.items():
        if isinstance(origin, Constant):
            columns[column] = pa.array([origin.value] * delivered.num_rows, pa.string())
        elif isinstance(origin, Expression):
            columns[column] = computed[column] if computed is not None else None
        elif origin in delivered.column_names:
            columns[column] = delivered[origin]
        else:
            columns[column] = pa.nulls(delivered.num_rows, pa.string())
    rows = pa.table(columns).to_pandas().astype("str")
    return rows.rename(columns={WEEK: DELIVERED_WEEK})


def _compute(expressions: Mapping[str, Expression], delivered: pa.Table, path: str) -> pa.Table:
    listed = ", ".join(
        f'cast(({one.sql}) as varchar) as "{column}"' for column, one in expressions.items()
    )
    return _query(f"select {listed} from delivered", {"delivered": delivered}, path)  # noqa: S608


def _query(sql: str, tables: Mapping[str, pa.Table], path: str) -> pa.Table:
    """Run one SELECT on text tables, in a database that reaches nothing else.

    Raises
    ------
    BadFile
        If the query fails on these rows.
    """
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            if len(duckdb.extract_statements(sql)) != 1:
                raise BadFile(f"{path}: the sources file has more than one SQL statement: {sql}")
            return _stringified(connection.execute(sql).to_arrow_table())
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise BadFile(f"{path}: the SQL of the sources file fails on it: {first}") from error
