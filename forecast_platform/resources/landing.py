"""The landing area: which files were delivered, and their rows as text under contract names.

Reads; never writes, moves or deletes what a customer delivered. How a format is read is in
`formats`, how columns are renamed in `mapping`; what a value may look like and what becomes of a
row is in `forecast_platform.schemas`.
"""

import hashlib
import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from forecast_platform.errors import BadFile, LandingMissing
from forecast_platform.partitions import RegionWeek, parse_week, weeks
from forecast_platform.resources import databases, formats, unpacking
from forecast_platform.resources.arrivals import SIGNS, Folders
from forecast_platform.resources.mapping import map_columns, query
from forecast_platform.resources.row_digests import NO_ROWS_SHA256, digest_rows
from forecast_platform.resources.sources import (
    CompleteWhen,
    Expression,
    File,
    Required,
    Source,
    Sources,
    Sql,
    load_sources,
)
from forecast_platform.schemas.batches import batches, compact, constant, plain, together
from forecast_platform.schemas.codes import REFUSAL, Code, refusal_text
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK, LAST_DAY
from forecast_platform.vocabulary import DS, REGION, WEEK

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DELTALAKE_ONLY: Final = ("azure_", "aws_", "allow_http")
"""Beginnings of storage options that fsspec does not understand."""

MAX_LISTINGS: Final = 32
"""More folders of a bucket than this are listed in one go from their common parent."""

FILES_AT_ONCE: Final = 64
"""Files of a bucket that are fetched together."""

ONE_WEEK: Final = pd.Timedelta(weeks=1)

Listed = tuple[str, int, object]
"""Path below the landing folder, size [bytes], time of change."""


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One file, before it is read.

    Attributes
    ----------
    region : str or None
        None when only the rows tell.
    week : pandas.Timestamp or None
        Week at whose close it was known; None when the file is of many weeks.
    file : str
        Path below the landing folder.
    format : str
    delivered : pandas.Timestamp or None
        Day of the delivery, where the path names it.
    waits_for : str
        What the file waits for, when it is not written to its end.
    sha256 : str
        What its content must be, where a manifest tells.
    query : str or None
        The SQL that was asked, of a database.
    ds : pandas.Timestamp or None
        Week that all rows are about, where the path names it.
    """

    source: str
    region: str | None
    week: pd.Timestamp | None
    file: str
    size_bytes: int
    modified: object
    format: str = "csv"
    delivered: pd.Timestamp | None = None
    query: str | None = None
    waits_for: str = ""
    sha256: str = ""
    ds: pd.Timestamp | None = None

    @property
    def compression(self) -> str:
        """How the file is packed, by the end of its name."""
        return unpacking.compression_of(self.file)

    def known_on(self, week: pd.Timestamp) -> pd.Timestamp:
        """Day on which rows of ``week`` were known: named by the path, or the week's Sunday."""
        return self.delivered if self.delivered is not None else week + LAST_DAY


class TakenFile(NamedTuple):
    """A file that counts as delivered for a region-week.

    Attributes
    ----------
    key : RegionWeek
    file : DeliveredFile
    sha256 : str
        Digest of its content.
    rows_sha256 : str
        Digest of what it says of this region-week: of its rows where it is of many region-weeks, of
        its content otherwise. It stays the same when rows of other region-weeks are added.
    """

    key: RegionWeek
    file: DeliveredFile
    sha256: str
    rows_sha256: str


@dataclass(slots=True)
class Delivery:
    """What was delivered for some region-weeks of one source.

    Attributes
    ----------
    rows : pandas.DataFrame
        Text under contract names, with ``region``, ``week``, ``known_on``, ``source_file``,
        ``source_row``; compact as `schemas.batches` says when they are many.
    files : list of TakenFile
        Each region-week's files.
    bad : dict of RegionWeek to str
        What is wrong with the files of a region-week that could not be read.
    elsewhere : collections.Counter of RegionWeek
        Rows of the files that were read, of region-weeks that were not asked for. A region may be
        empty or unknown, a week before the first.
    """

    rows: pd.DataFrame
    files: list[TakenFile] = field(default_factory=list)
    bad: dict[RegionWeek, str] = field(default_factory=dict)
    elsewhere: Counter[RegionWeek] = field(default_factory=Counter)


class Landing(dg.ConfigurableResource):
    """Delivered files, in a folder or a bucket."""

    uri: str = Field(description="Folder or URI below which files are delivered.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Credentials and endpoints, as fsspec names them."
    )
    sources_file: str | None = Field(
        default=None, description="YAML that maps files to contracts; default packaged."
    )

    max_refused_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Largest share of refused rows, where the source does not say its own.",
    )
    settle_seconds: int = Field(
        default=0,
        ge=0,
        description="How long a file must not have changed, where the source does not say it [s].",
    )

    def sources(self) -> Sources:
        """Read the sources file."""
        return load_sources(Path(self.sources_file) if self.sources_file else None)

    def source(self, name: str) -> Source | None:
        """Describe one source, or None when the customer does not deliver it."""
        return self.sources().sources.get(name)

    def allows_corrections(self, name: str) -> bool:
        """Whether rows of a source may be about an earlier week than that of their delivery."""
        source = self.source(name)
        return source is not None and (source.allow_corrections or source.has_delivered)

    def refused_limits(self) -> dict[str, float]:
        """Say for each delivered source which share of refused rows is too much [fraction]."""
        return {
            name: self.max_refused_share
            if source.max_refused_share is None
            else source.max_refused_share
            for name, source in self.sources().sources.items()
        }

    def required_sources(self) -> list[str]:
        """Name the sources that every week must have a file of."""
        return [
            name
            for name, source in self.sources().sources.items()
            if source.has_week and source.required is Required.WEEKLY
        ]

    def files(self) -> list[DeliveredFile]:
        """List every file whose path names its region and week.

        A region-week is left out as long as one of its files is not written to its end.
        """
        sources = self.sources().sources
        listed = list(self._list(""))
        found: list[DeliveredFile] = []
        for name, source in sources.items():
            if source.has_week or source.has_delivered:
                named = [one for one in _matching(name, source, listed) if one.region and one.week]
                found += self._judged(source, named, listed)
        waiting = {(one.region, one.week) for one in found if one.waits_for}
        return [one for one in found if (one.region, one.week) not in waiting]

    def paths(self) -> list[str]:
        """List every delivered file, whether a source matches it or not."""
        return sorted(path for path, _, _ in self._list(""))

    def unmatched(self) -> list[str]:
        """List delivered files that no source reads.

        No path matches them, or they lie in the folder of a day that no week has.
        """
        listed = list(self._list(""))
        used: set[str] = set()
        for name, source in self.sources().sources.items():
            used |= {one.file for one in _matching(name, source, listed)}
            used |= {table.path for table in source.tables.values()}
        paths = (path for path, _, _ in listed if path.rpartition("/")[2] not in SIGNS)
        return sorted(path for path in paths if path not in used)

    def files_of_many(self) -> list[DeliveredFile]:
        """List every file that is written to its end and whose rows tell its regions or weeks."""
        sources = {
            name: source
            for name, source in self.sources().sources.items()
            if source.path and not source.names_one_region_week
        }
        listed = list(self._list("")) if sources else []
        found: list[DeliveredFile] = []
        for name, source in sources.items():
            matching = _matching(name, source, listed)
            many = [one for one in matching if one.region is None or one.week is None]
            found += self._judged(source, many, listed)
        return [one for one in found if not one.waits_for]

    def places_in(self, file: DeliveredFile) -> dict[RegionWeek, str]:
        """Read which region-weeks a file has rows of, and digest the rows of each.

        Raises
        ------
        BadFile
            If it cannot be read.
        """
        source = self.sources().sources[file.source]
        tables = {table: self._table(one) for table, one in source.tables.items()}
        content = _checked(file, self._bytes(file.file))
        rows = _rows_of(file.source, source, file, content, tables)
        return digest_rows(_placed(file.source, source, file, rows))

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
        delivery = Delivery(_no_rows(name).to_pandas())
        if source is None:
            return delivery
        if source.sql is not None:
            return _from_database(name, source, source.sql, keys)
        parts = self._parts(name, source, keys, delivery)
        whole = together(itertools.chain([_no_rows(name)], parts))
        delivery.rows = whole.to_pandas()
        return delivery

    def _parts(
        self, name: str, source: Source, keys: Sequence[RegionWeek], delivery: Delivery
    ) -> Iterator[pa.Table]:
        """Read the rows of ``keys``, a file at a time, and tell the delivery of each."""
        asked = dict.fromkeys(keys)
        keys_of = {one: _keys_of(one, asked) for one in self._delivered(name, source, keys)}
        tables = {table: self._table(file) for table, file in source.tables.items()}
        for one, content in self._contents([one for one, own in keys_of.items() if own]):
            try:
                whole = _checked(one, content)
                rows = _rows_of(name, source, one, whole, tables)
                rows, taken, elsewhere = _of_keys(name, source, one, rows, keys_of[one])
            except BadFile as error:
                delivery.bad |= dict.fromkeys(keys_of[one], str(error))
                continue
            delivery.elsewhere += elsewhere
            delivery.files += _taken(one, hashlib.sha256(whole).hexdigest(), taken, rows)
            del content, whole
            yield rows

    def _delivered(
        self, name: str, source: Source, keys: Sequence[RegionWeek]
    ) -> list[DeliveredFile]:
        """List the files that may hold rows of ``keys``, a correction after what it corrects."""
        listed = [one for prefix in self._prefixes(source, keys) for one in self._list(prefix)]
        if not listed and next(iter(self._list("")), None) is None:
            raise LandingMissing(
                f"the landing area {self.uri} is empty or does not exist: deliver files as "
                f"{source.path}, or name another folder in FORECAST_PLATFORM_LANDING_URI"
            )
        found = self._judged(source, list(_matching(name, source, listed)), listed)
        return sorted(found, key=lambda one: _order(one.file))

    def _judged(
        self, source: Source, files: Sequence[DeliveredFile], listed: Sequence[Listed]
    ) -> list[DeliveredFile]:
        """Say of each file whether it is written to its end, and what its content must be."""
        folders = Folders(
            sizes={path: size for path, size, _ in listed},
            modified={path: modified for path, _, modified in listed},
            read=self._bytes,
            now=time.time(),
        )
        paths = [one.file for one in files]
        settle = self.settle_seconds if source.settle_seconds is None else source.settle_seconds
        waiting = folders.waits_for(paths, source.complete_when, settle)
        digests: dict[str, str] = {}
        if source.complete_when is CompleteWhen.MANIFEST:
            digests = folders.digests([path for path in paths if path not in waiting])
        return [
            replace(one, waits_for=waiting.get(one.file, ""), sha256=digests.get(one.file, ""))
            for one in files
        ]

    def _prefixes(self, source: Source, keys: Sequence[RegionWeek]) -> list[str]:
        """Name the folders to look in: those of the keys alone, not all that was ever delivered."""
        found = dict.fromkeys(_folder(_path_of(source, key)) for key in keys)
        if len(found) > MAX_LISTINGS and "://" in self.uri:
            return [_folder(source.path)]
        return list(found)

    def _contents(
        self, files: Sequence[DeliveredFile]
    ) -> "Iterator[tuple[DeliveredFile, bytes | BadFile]]":
        """Read files, those of a bucket many at once."""
        if "://" not in self.uri:
            yield from ((one, self._bytes_or_error(one)) for one in files)
            return
        system, root = self._filesystem()
        for start in range(0, len(files), FILES_AT_ONCE):
            some = files[start : start + FILES_AT_ONCE]
            paths = {one: f"{root.rstrip('/')}/{one.file}" for one in some}
            small = [paths[one] for one in some if one.size_bytes <= unpacking.MAX_FILE_BYTES]
            found: Any = system.cat(small, on_error="return") if small else {}
            for one in some:
                yield one, _content(one, found.get(paths[one]))

    def _bytes_or_error(self, one: DeliveredFile) -> "bytes | BadFile":
        try:
            return self._bytes(one.file)
        except BadFile as error:
            return error

    def _table(self, file: File) -> pa.Table:
        return formats.read_text(file, file.path, self._bytes(file.path))

    def _list(self, prefix: str) -> Iterator[Listed]:
        """List files below a folder of the landing area, except hidden ones."""
        if "://" not in self.uri:
            root = Path(self.uri).expanduser()
            yield from _list_local(root / prefix, f"{prefix}/" if prefix else "")
            return
        system, root = self._filesystem()
        base = f"{root.rstrip('/')}/{prefix}".rstrip("/")
        try:
            found: Any = system.find(base, detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            if not path.rpartition("/")[2].startswith("."):
                yield path[len(root.rstrip("/")) + 1 :], int(info["size"]), _modified(info)

    def _bytes(self, file: str) -> bytes:
        """Read one file whole.

        Raises
        ------
        BadFile
            If it lies outside of the landing folder, is too large or has gone.
        """
        try:
            if "://" in self.uri:
                system, root = self._filesystem()
                content: Any = system.cat_file(f"{root.rstrip('/')}/{file}")
                return bytes(content)
            root_path = Path(self.uri).expanduser().resolve()
            path = (root_path / file).resolve()
            if not path.is_relative_to(root_path):
                raise BadFile(f"{file} leads out of the landing area: deliver the file itself")
            if path.stat().st_size > unpacking.MAX_FILE_BYTES:
                raise BadFile(_too_large(file))
            return path.read_bytes()
        except OSError as error:
            raise BadFile(f"{file} cannot be read: {error.strerror or error}") from error

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


def _list_local(folder: Path | str, prefix: str) -> Iterator[Listed]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _list_local(entry.path, f"{path}/")
        elif not entry.name.startswith(".") and entry.is_file():
            stat = entry.stat()
            yield path, stat.st_size, stat.st_mtime_ns


def _too_large(file: str) -> str:
    return f"{file} is larger than {unpacking.MAX_FILE_BYTES} bytes: deliver it in parts"


def _content(one: DeliveredFile, found: object) -> "bytes | BadFile":
    if one.size_bytes > unpacking.MAX_FILE_BYTES:
        return BadFile(_too_large(one.file))
    if isinstance(found, bytes):
        return found
    return BadFile(f"{one.file} cannot be read: {found}")


def _checked(one: DeliveredFile, content: "bytes | BadFile") -> bytes:
    """Refuse a file that is not, or not yet, what its sender wrote."""
    if isinstance(content, BadFile):
        raise content
    if one.waits_for:
        raise BadFile(f"{one.file}: {one.waits_for}")
    if len(content) != one.size_bytes:
        raise BadFile(f"{one.file} changed while it was read: it is still being written")
    if one.sha256 and hashlib.sha256(content).hexdigest() != one.sha256:
        raise BadFile(f"{one.file} is not the file that its manifest names: its digest differs")
    return content


def _path_of(source: Source, key: RegionWeek) -> str:
    """Fill in where a region-week's files lie."""
    path = source.path.replace("{region}", key.region)
    # A file known in a later week than it names, by {delivered}, lies in the folder of its own.
    return path if source.has_delivered else path.replace("{week}", f"{key.week:%Y-%m-%d}")


def _folder(path: str) -> str:
    """Name the deepest folder of a path that holds no wildcard."""
    return re.split(r"[{*]", path, maxsplit=1)[0].rpartition("/")[0]


def _order(file: str) -> tuple[str, list[tuple[int, str]]]:
    """Sort names as people number them: a.csv, a_2.csv, a_10.csv, and ``a (1).csv`` after a.csv."""
    folder, _, name = file.rpartition("/")
    parts = re.split(r"([0-9]+)", name.partition(".")[0])
    return folder, [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _modified(info: Mapping[str, Any]) -> object:
    changed = info.get("last_modified") or info.get("mtime") or info.get("LastModified") or ""
    return changed.isoformat() if isinstance(changed, datetime) else changed


def _matching(
    name: str, source: Source, listed: Iterable[tuple[str, int, object]]
) -> Iterator[DeliveredFile]:
    for path, size, modified in listed:
        match = source.pattern.fullmatch(path)
        if match is None or path.rpartition("/")[2] in SIGNS:
            continue
        named = match.groupdict()
        try:
            week = parse_week(named["week"]).as_unit("us") if named.get("week") else None
            delivered = _day(named.get("delivered"))
            ds = parse_week(named["ds"]).as_unit("us") if named.get("ds") else None
        except ValueError:
            continue  # a folder that no partition has; `forecast-platform status` lists weeks
        if delivered is not None:
            counted = delivered - pd.Timedelta(days=source.days_of_grace(name))
            in_week = counted - pd.Timedelta(days=counted.dayofweek)
            if week is None or in_week > week:
                week = in_week
            else:
                delivered = None  # within the week, all of which is known at its close
            if delivered is not None and delivered > week + LAST_DAY:
                delivered = None  # in the days of grace, which count as of the close
        region = named.get("region") or source.region
        yield DeliveredFile(
            name, region, week, path, size, modified, source.format, delivered, ds=ds
        )


def _day(text: str | None) -> pd.Timestamp | None:
    return pd.to_datetime(text, format="%Y-%m-%d").as_unit("us") if text else None


def _keys_of(one: DeliveredFile, keys: Mapping[RegionWeek, None]) -> list[RegionWeek]:
    """Region-weeks of the run that a file may hold rows of."""
    if one.region is not None and one.week is not None:
        own = RegionWeek(one.region, one.week)
        return [own] if own in keys else []
    return [
        key for key in keys if one.region in (None, key.region) and one.week in (None, key.week)
    ]


def _rows_of(
    name: str,
    source: Source,
    one: DeliveredFile,
    content: bytes,
    tables: Mapping[str, pa.Table],
) -> pa.Table:
    """Read the rows of a file under contract names, with their origin."""
    text = formats.read_rows(source, one.file, content)
    delivered, numbers = text.table, text.numbers
    if source.query is not None:
        delivered = query(source.query, {"delivered": plain(delivered), **tables}, one.file)
        numbers = np.arange(delivered.num_rows)
    mapped = (map_columns(name, source, some, one.file) for some in _cut(source, delivered))
    rows = together(mapped)
    rows = rows.append_column("source_row", pa.array(numbers + 2 + source.skip_rows))
    if text.bad:
        rows = _with_bad(rows, text.bad, source.skip_rows)
    n = rows.num_rows
    if one.region is not None:
        rows = _with(rows, REGION, constant(one.region, n))
    return rows.append_column("source_file", constant(one.file, n))


def _cut(source: Source, delivered: pa.Table) -> Iterable[pa.Table]:
    """Cut rows into batches, unless SQL of the sources file looks from one row at others."""
    sql = [one.sql for one in source.columns.values() if isinstance(one, Expression)]
    if any(_LOOKS_AT_OTHERS.search(one) for one in sql):
        return [plain(delivered)]
    return batches(delivered)


_LOOKS_AT_OTHERS: Final = re.compile(r"\b(over|select|from)\b", re.IGNORECASE)


def _with_bad(rows: pa.Table, bad: Sequence[formats.BadRow], n_skipped: int) -> pa.Table:
    """Put rows that cannot be read back where they were, refused; of the region before them."""
    refusals = [refusal_text(one.code, one.reason, value=one.text) for one in bad]
    numbers = pa.array([one.number + 2 + n_skipped for one in bad], pa.int64())
    refused = pa.table({REFUSAL: pa.array(refusals, pa.string()), "source_row": numbers})
    if rows.num_rows > 0 and pa.types.is_dictionary(rows.schema.field(REFUSAL).type):
        refused = compact(refused)
    rows = pa.concat_tables([rows, refused], promote_options="default").unify_dictionaries()
    rows = rows.take(pc.sort_indices(rows["source_row"]))  # pyright: ignore[reportAttributeAccessIssue]
    if REGION in rows.column_names:
        region = plain(rows.select([REGION]))[REGION].to_pandas()
        was_read = rows[REFUSAL].is_null().to_pandas() | region.notna()
        rows = _with(
            rows,
            REGION,
            pa.array(region.where(was_read, region.ffill().bfill()), pa.string(), from_pandas=True),
        )
    return rows


def _from_database(name: str, source: Source, sql: Sql, keys: Sequence[RegionWeek]) -> Delivery:
    """Read what a database holds for ``keys``."""
    parts = [_no_rows(name)]
    delivery = Delivery(parts[0].to_pandas())
    asked = [key for key in keys if source.region in (None, key.region)]
    for found in databases.extract(sql, asked):
        if isinstance(found, BadFile):
            done = {one.key for one in delivery.files} | set(delivery.bad)
            delivery.bad |= {key: str(found) for key in asked if key not in done}
            continue
        own = [found.key] if found.key else asked
        try:
            one, rows = _rows_of_extract(name, source, sql, found)
            rows, taken, elsewhere = _of_keys(name, source, one, rows, own)
        except BadFile as error:
            delivery.bad |= dict.fromkeys(own, str(error))
            continue
        parts.append(rows)
        delivery.elsewhere += elsewhere
        if rows.num_rows:
            delivery.files += _taken(one, found.sha256, taken, rows)
    delivery.rows = pa.concat_tables(parts).to_pandas()
    return delivery


def _rows_of_extract(
    name: str, source: Source, sql: Sql, found: databases.Extract
) -> tuple[DeliveredFile, pa.Table]:
    """Put a database's rows under contract names, as those of a file."""
    key = found.key
    region = source.region or (key.region if key and sql.has_region else None)
    one = DeliveredFile(
        name,
        region,
        key.week if key else None,
        found.name,
        found.rows.nbytes,
        None,
        "sql",
        query=found.query,
    )
    rows = map_columns(name, source, found.rows, found.name)
    n = rows.num_rows
    if region is not None:
        rows = _with(rows, REGION, pa.repeat(pa.scalar(region, pa.string()), n))
    elif sql.region_column is not None:
        rows = _with(rows, REGION, found.rows[sql.region_column])
    rows = rows.append_column("source_file", pa.repeat(pa.scalar(found.name, pa.string()), n))
    return one, rows.append_column("source_row", pa.array(np.arange(1, n + 1)))


def _with(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return (rows.drop_columns(name) if name in rows.column_names else rows).append_column(
        name, values
    )


def _of_keys(
    name: str, source: Source, one: DeliveredFile, rows: pa.Table, keys: Sequence[RegionWeek]
) -> tuple[pa.Table, list[RegionWeek], Counter[RegionWeek]]:
    """Select the rows of ``keys``, those of ``keys`` that the file counts as delivered for.

    Rows of other region-weeks are counted.
    """
    rows = _placed(name, source, one, rows)
    if one.week is not None and one.region is not None:
        return rows, list(keys), Counter()
    places = _places(rows)
    is_asked = places.isin(pd.MultiIndex.from_tuples(keys))
    found = set(places[is_asked].unique())
    taken = keys if one.week is not None else [key for key in keys if tuple(key) in found]
    return rows.filter(pa.array(is_asked)), list(taken), _count(places[~is_asked])


def _taken(
    one: DeliveredFile, sha256: str, keys: Sequence[RegionWeek], rows: pa.Table
) -> list[TakenFile]:
    """Say for which region-weeks a file was taken, and what it says of each."""
    if one.week is not None and one.region is not None:
        return [TakenFile(key, one, sha256, sha256) for key in keys]
    digests = digest_rows(rows)
    return [TakenFile(key, one, sha256, digests.get(key, NO_ROWS_SHA256)) for key in keys]


def _places(rows: pa.Table) -> pd.MultiIndex:
    regions = plain(rows.select([REGION]))[REGION]
    return pd.MultiIndex.from_arrays([regions.to_pandas(), rows[WEEK].to_pandas()])


def _count(places: pd.MultiIndex) -> Counter[RegionWeek]:
    """Count rows by region-week; a region that is missing is empty."""
    frame = places.to_frame(index=False, name=[REGION, WEEK])
    counted = frame.fillna({REGION: ""}).groupby([REGION, WEEK]).size()
    return Counter({_place(place): int(n_rows) for place, n_rows in counted.items()})


def _place(place: Any) -> RegionWeek:
    region, week = place
    return RegionWeek.of(region, week)


def _placed(name: str, source: Source, one: DeliveredFile, rows: pa.Table) -> pa.Table:
    """Say of each row at the close of which week it was known, and on which day."""
    if one.week is not None:
        known = pa.repeat(pa.scalar(one.week.to_pydatetime(), pa.timestamp("us")), rows.num_rows)
    else:
        known = pa.array(_known_week(name, source, rows, one.file), pa.timestamp("us"))
    rows = rows.append_column(WEEK, known)
    rows = rows.append_column("known_on", _known_on(one, rows[WEEK]))
    rows = _refuse_other_weeks(one, rows)
    return rows.select(_no_rows(name).column_names)


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
    return _with(rows, REFUSAL, pa.array(told, pa.string(), from_pandas=True))


def _known_on(one: DeliveredFile, weeks: pa.ChunkedArray) -> pa.Array:
    if one.delivered is not None:
        day = pa.scalar(one.delivered.to_pydatetime(), pa.timestamp("us"))
        return pa.repeat(day, len(weeks))
    return pa.array(weeks.to_pandas() + LAST_DAY, pa.timestamp("us"))


def _no_rows(name: str) -> pa.Table:
    delivered = [DELIVERED_WEEK if one == WEEK else one for one in CONTRACTS[name].kinds]
    fields = [
        *(pa.field(column, pa.string()) for column in delivered),
        pa.field(REGION, pa.string()),
        pa.field(WEEK, pa.timestamp("us")),
        pa.field("known_on", pa.timestamp("us")),
        pa.field("source_file", pa.string()),
        pa.field("source_row", pa.int64()),
        pa.field(REFUSAL, pa.string()),
    ]
    return pa.schema(fields).empty_table()


def _known_week(name: str, source: Source, rows: pa.Table, file: str) -> pd.Series:
    """Week at whose close each row of a file of many weeks was known.

    A row whose date cannot be read goes with the row before it: in every run it comes before the
    contract in the same week, and is refused there.
    """
    contract = CONTRACTS[name]
    first = pd.Timestamp(source.known_from) if source.known_from is not None else None
    if contract.known_by is None:
        known = first or parse_week(weeks.get_first_partition_key() or "")
        return pd.Series(known, index=range(rows.num_rows), dtype="datetime64[us]")
    known_by = plain(rows.select([contract.known_by]))[contract.known_by]
    text = known_by.to_pandas().astype("str").str.strip().str.slice(0, 10)
    days = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    if len(days) and days.isna().all():
        raise BadFile(f"{file}: no row has a date YYYY-MM-DD that tells its week; {_DATE_HELP}")
    mondays = days - pd.to_timedelta(days.dt.dayofweek, unit="D")
    known = (mondays - source.known_weeks_before * ONE_WEEK).ffill().bfill()
    return (known if first is None else known.clip(lower=first)).astype("datetime64[us]")


_DATE_HELP: Final = "write dates so, or compute them with {sql: ...} in the sources file"
