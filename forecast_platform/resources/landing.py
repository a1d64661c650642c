"""The landing area: what was delivered for region-weeks, as text under contract names.

Reads; never writes, moves or deletes what a customer delivered. Where files lie is in
`landing_area`, which belong to a source in `delivered_files`, how they are read in `formats`, how
columns are renamed in `contract_rows`, of which region-week a row is in `placing`; what a value may
look like and what becomes of a row is in `forecast_platform.schemas`.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
from pydantic import Field

from forecast_platform.errors import BadFile, LandingMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import databases, formats
from forecast_platform.resources.arrivals import SIGNS, Folders
from forecast_platform.resources.contents import Content
from forecast_platform.resources.contract_rows import map_extract, map_rows, no_rows
from forecast_platform.resources.delivered_files import (
    DeliveredFile,
    TakenFile,
    as_numbered,
    fixed_folder,
    folder_of,
    matching,
)
from forecast_platform.resources.landing_area import Area, Listed, open_area
from forecast_platform.resources.placing import Selected, place_rows, select
from forecast_platform.resources.row_digests import RowDigests, places_of
from forecast_platform.resources.sources import (
    CompleteWhen,
    File,
    Required,
    Source,
    Sources,
    Sql,
    load_sources,
)
from forecast_platform.schemas.batches import together

MAX_LISTINGS = 32
"""More folders of a bucket than this are listed in one go from their common parent."""


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
        listed = list(self._area.list_files(""))
        found: list[DeliveredFile] = []
        for name, source in sources.items():
            if source.has_week or source.has_delivered:
                named = [one for one in matching(name, source, listed) if one.is_of_one]
                found += self._judged(source, named, listed)
        waiting = {(one.region, one.week) for one in found if one.waits_for}
        return [one for one in found if (one.region, one.week) not in waiting]

    def paths(self) -> list[str]:
        """List every delivered file, whether a source matches it or not."""
        return sorted(path for path, _, _ in self._area.list_files(""))

    def unmatched(self) -> list[str]:
        """List delivered files that no source reads.

        No path matches them, or they lie in the folder of a day that no week has.
        """
        listed = list(self._area.list_files(""))
        used: set[str] = set()
        for name, source in self.sources().sources.items():
            used |= {one.file for one in matching(name, source, listed)}
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
        listed = list(self._area.list_files("")) if sources else []
        found: list[DeliveredFile] = []
        for name, source in sources.items():
            many = [one for one in matching(name, source, listed) if not one.is_of_one]
            found += self._judged(source, many, listed)
        return [one for one in found if not one.waits_for]

    @property
    def _area(self) -> Area:
        return open_area(self.uri, self.storage_options)

    def places_in(self, file: DeliveredFile) -> dict[RegionWeek, str]:
        """Read which region-weeks a file has rows of, and digest the rows of each.

        Raises
        ------
        BadFile
            If it cannot be read.
        """
        source = self.sources().sources[file.source]
        tables = {table: self._table(one) for table, one in source.tables.items()}
        digests = RowDigests()
        with self._area.open_file(file.file) as content:
            for rows in _rows_in(file.source, source, file, content, tables):
                digests.add(rows, places_of(rows))
        return digests.found()

    def sha256(self, file: DeliveredFile) -> str:
        """Digest the content of one file."""
        with self._area.open_file(file.file) as content:
            return content.sha256

    def read(self, name: str, keys: Sequence[RegionWeek]) -> Delivery:
        """Read what was delivered for ``keys``, each file once and a batch of rows at a time.

        Raises
        ------
        LandingMissing
            If the landing folder itself does not exist or is empty.
        BadSources
            If the sources file is wrong.
        """
        source = self.source(name)
        delivery = Delivery(no_rows(name).to_pandas())
        if source is None:
            return delivery
        if source.sql is not None:
            return _from_database(name, source, source.sql, keys)
        parts = self._parts(name, source, keys, delivery)
        whole = together(itertools.chain([no_rows(name)], parts))
        delivery.rows = whole.to_pandas()
        return delivery

    def _parts(
        self, name: str, source: Source, keys: Sequence[RegionWeek], delivery: Delivery
    ) -> Iterator[pa.Table]:
        """Read the rows of ``keys``, a file at a time, and tell the delivery of each."""
        asked = dict.fromkeys(keys)
        keys_of = {one: one.may_hold(asked) for one in self._delivered(name, source, keys)}
        files = [one for one, own in keys_of.items() if own]
        tables = {table: self._table(file) for table, file in source.tables.items()}
        opened = self._area.open_files([(one.file, one.size_bytes) for one in files])
        for one, content in zip(files, opened, strict=True):
            own = keys_of[one]
            try:
                found, sha256 = _selected(name, source, one, content, tables, own)
            except BadFile as error:
                delivery.bad |= dict.fromkeys(own, str(error))
                continue
            delivery.elsewhere += found.elsewhere
            delivery.files += found.taken(one, sha256, own)
            yield found.rows

    def _delivered(
        self, name: str, source: Source, keys: Sequence[RegionWeek]
    ) -> list[DeliveredFile]:
        """List the files that may hold rows of ``keys``, a correction after what it corrects."""
        area = self._area
        listed = [one for prefix in self._prefixes(source, keys) for one in area.list_files(prefix)]
        if not listed and next(area.list_files(""), None) is None:
            raise LandingMissing(
                f"the landing area {self.uri} is empty or does not exist: deliver files as "
                f"{source.path}, or name another folder in FORECAST_PLATFORM_LANDING_URI"
            )
        found = self._judged(source, list(matching(name, source, listed)), listed)
        return sorted(found, key=lambda one: as_numbered(one.file))

    def _judged(
        self, source: Source, files: Sequence[DeliveredFile], listed: Sequence[Listed]
    ) -> list[DeliveredFile]:
        """Say of each file whether it is written to its end, and what its content must be."""
        folders = Folders(
            sizes={path: size for path, size, _ in listed},
            modified={path: modified for path, _, modified in listed},
            read=self._read_whole,
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
        found = dict.fromkeys(folder_of(source, key) for key in keys)
        if len(found) > MAX_LISTINGS and "://" in self.uri:
            return [fixed_folder(source.path)]
        return list(found)

    def _table(self, file: File) -> pa.Table:
        with self._area.open_file(file.path) as content:
            return formats.read_text(file, file.path, content)

    def _read_whole(self, file: str) -> bytes:
        with self._area.open_file(file) as content:
            return content.whole(file)


def _rows_in(
    name: str,
    source: Source,
    one: DeliveredFile,
    content: Content,
    tables: Mapping[str, pa.Table],
) -> Iterator[pa.Table]:
    """Read all rows of a file, placed; what was given is void when it turns out to be bad.

    Raises
    ------
    BadFile
        If it cannot be read, or is not, or not yet, what its sender wrote.
    """
    if one.waits_for:
        raise BadFile(f"{one.file}: {one.waits_for}")
    try:
        parts = formats.read_rows(source, one.file, content)
        mapped = map_rows(name, source, one, parts, tables)
        yield from place_rows(name, source, one, mapped)
    except BadFile:
        content.check(one.file, one.size_bytes, one.sha256)  # says more when it fails
        raise
    content.check(one.file, one.size_bytes, one.sha256)


def _selected(  # noqa: PLR0917
    name: str,
    source: Source,
    one: DeliveredFile,
    content: "Content | BadFile",
    tables: Mapping[str, pa.Table],
    keys: Sequence[RegionWeek],
) -> tuple[Selected, str]:
    """Read the rows of ``keys`` of one file, and digest its content."""
    if isinstance(content, BadFile):
        raise content
    with content:
        found = select(one, _rows_in(name, source, one, content, tables), keys)
        return found, content.sha256


def _from_database(name: str, source: Source, sql: Sql, keys: Sequence[RegionWeek]) -> Delivery:
    """Read what a database holds for ``keys``."""
    parts = [no_rows(name)]
    delivery = Delivery(parts[0].to_pandas())
    asked = [key for key in keys if source.region in (None, key.region)]
    for found in databases.extract(sql, asked):
        if isinstance(found, BadFile):
            done = {one.key for one in delivery.files} | set(delivery.bad)
            delivery.bad |= {key: str(found) for key in asked if key not in done}
            continue
        own = [found.key] if found.key else asked
        try:
            one, mapped = map_extract(name, source, sql, found)
            selected = select(one, place_rows(name, source, one, [mapped]), own)
        except BadFile as error:
            delivery.bad |= dict.fromkeys(own, str(error))
            continue
        parts.append(selected.rows)
        delivery.elsewhere += selected.elsewhere
        if selected.rows.num_rows:
            delivery.files += selected.taken(one, found.sha256, own)
    delivery.rows = together(parts).to_pandas()
    return delivery
