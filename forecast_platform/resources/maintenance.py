"""Care for the lake: small files put together, logs kept short, old versions removed.

What can be read inside the audit period can be read afterwards, to the row: every version that
was current at any time in it. How tables are read and written is in `lake`; what starts this, in
`forecast_platform.automation` and the command line. See
https://delta-io.github.io/delta-rs/usage/managing-tables/.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from forecast_platform.errors import TableMissing
from forecast_platform.resources.lake import FILE_FORMAT, Lake
from forecast_platform.resources.lake_keys import TABLE_PATTERN

LOG_FOLDER: Final = "_delta_log"
MAX_TRIES: Final = 5
"""Tries of one compaction: it loses against every writer of the same region-week."""

MIN_COMMITS: Final = 10
"""Commits after which a checkpoint pays: below it, opening a table takes as long without."""

TEMPORARY_AGE: Final = timedelta(days=1)
"""A temporary file that is older was left by a writer that died: no write takes a day."""


@dataclass(frozen=True, slots=True)
class TableStatus:
    """What one table is made of.

    Attributes
    ----------
    version : int
        Latest version.
    files, bytes : int
        Files of the latest version and their size.
    small : int
        Files that share a region-week with another: what compaction can put together.
    commits : int
        Commits that the log still holds.
    oldest : datetime.datetime
        Time from which on the table can be read as it was.
    """

    table: str
    version: int
    files: int
    bytes: int
    small: int
    commits: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class TableCare:
    """What maintenance did to one table, or would do.

    Attributes
    ----------
    compacted_from, compacted_to : int
        Files before and after compaction, of those it touched.
    made_checkpoint : bool
        Whether the log got a new checkpoint.
    removed_files, removed_logs, removed_temporary : int
        Files of rows, of the log and of dead writers that are gone.
    freed_bytes : int or None
        Size of the removed files of rows; None where the storage did not tell.
    problem : str
        Why a part was left for the next time; empty if nothing was.
    """

    table: str
    compacted_from: int = 0
    compacted_to: int = 0
    made_checkpoint: bool = False
    removed_files: int = 0
    removed_logs: int = 0
    removed_temporary: int = 0
    freed_bytes: int = 0
    problem: str = ""

    def described(self) -> dict[str, Any]:
        """Describe what was done in plain values."""
        return asdict(self)


def tables_of(lake: Lake) -> list[str]:
    """Name the tables of a lake, in order; none if there is no lake yet."""
    try:
        found = _files(lake, lake.uri).get_file_info(pafs.FileSelector("", allow_not_found=True))
    except (FileNotFoundError, TableNotFoundError):
        return []
    names = (one.base_name for one in found if one.type == pafs.FileType.Directory)
    return sorted(name for name in names if TABLE_PATTERN.fullmatch(name) and lake.exists(name))


def look_at(lake: Lake, table: str) -> TableStatus:
    """Say what a table is made of.

    Raises
    ------
    TableMissing
        If there is no such table.
    """
    source = lake.open(table)
    actions = pa.table(source.get_add_actions(flatten=True))
    commits = sorted(lake.history(table), key=lambda one: one["version"])
    return TableStatus(
        table=table,
        version=source.version(),
        files=actions.num_rows,
        bytes=sum(actions["size_bytes"].to_pylist()),
        small=_small(actions),
        commits=len(commits),
        oldest=_oldest_readable(lake, table, commits),
    )


def maintain(lake: Lake, *, now: datetime, run_id: str, dry_run: bool = False) -> list[TableCare]:
    """Care for every table of a lake; a table that cannot be cared for stops no other.

    Parameters
    ----------
    lake : Lake
        Its ``audit_days`` say what is kept.
    now : datetime.datetime
        End of the audit period, with a time zone.
    run_id : str
        Who does it; kept in the commits.
    dry_run : bool, default=False
        Say what would be done, and change nothing.
    """
    return [
        maintain_table(lake, table, now=now, run_id=run_id, dry_run=dry_run)
        for table in tables_of(lake)
    ]


def maintain_table(
    lake: Lake, table: str, *, now: datetime, run_id: str, dry_run: bool = False
) -> TableCare:
    """Care for one table: compact, checkpoint, vacuum, shorten the log, sweep.

    Each part is whole or undone by itself, so that a run that is killed leaves a table that can
    be read and written, and the next run goes on.

    Raises
    ------
    TableMissing
        If there is no such table.
    """
    note = CommitProperties(
        custom_metadata={"maintenance_run_id": run_id, "git_commit": lake.git_commit}
    )
    if not dry_run:
        _keep_for_the_audit_period(lake, table, note)
    log = _commits_in(lake, table)
    before, after, problem = _compact(lake, table, note, dry_run=dry_run)
    made = _checkpoint(lake, table, now, dry_run=dry_run)
    gone, freed, fault = _vacuum(lake, table, note, dry_run=dry_run)
    return TableCare(
        table=table,
        compacted_from=before,
        compacted_to=after,
        made_checkpoint=made,
        removed_files=gone,
        freed_bytes=freed,
        removed_logs=_shorten_log(lake, table, log, now, dry_run=dry_run),
        removed_temporary=_sweep(lake, table, now, dry_run=dry_run),
        problem="; ".join(filter(None, (problem, fault))),
    )


def _small(actions: pa.Table) -> int:
    """Count files that have another beside them in their folder."""
    beside: dict[str, int] = {}
    for path in actions["path"].to_pylist():
        folder = path.rpartition("/")[0]
        beside[folder] = beside.get(folder, 0) + 1
    return sum(count for count in beside.values() if count > 1)


def _oldest_readable(lake: Lake, table: str, commits: Sequence[Mapping[str, Any]]) -> datetime:
    """Find by halves the first version whose files are all there."""
    there = set(_list(lake, table, ""))
    first, last = 0, len(commits) - 1
    while first < last:
        middle = (first + last) // 2
        if _is_readable(lake, table, int(commits[middle]["version"]), there):
            last = middle
        else:
            first = middle + 1
    return datetime.fromtimestamp(commits[first]["timestamp"] / 1000, UTC)


def _is_readable(lake: Lake, table: str, version: int, there: set[str]) -> bool:
    try:
        actions = pa.table(lake.open(table, version).get_add_actions(flatten=True))
    except TableMissing:
        return False
    return there.issuperset(actions["path"].to_pylist())


def _keep_for_the_audit_period(lake: Lake, table: str, note: CommitProperties) -> None:
    """Give a table that was made under another setting the periods of today."""
    wanted = lake.retention
    source = lake.open(table)
    if {name: source.metadata().configuration.get(name) for name in wanted} != wanted:
        source.alter.set_table_properties(wanted, commit_properties=note)


def _compact(
    lake: Lake, table: str, note: CommitProperties, *, dry_run: bool
) -> tuple[int, int, str]:
    """Put together the files of one region-week; Delta never does across partitions."""
    actions = pa.table(lake.open(table).get_add_actions(flatten=True))
    if dry_run or not _small(actions):
        return _small(actions), _folders_with_small(actions), ""
    for attempt in range(MAX_TRIES):
        try:
            done = lake.open(table).optimize.compact(
                writer_properties=FILE_FORMAT, max_concurrent_tasks=1, commit_properties=note
            )
        except CommitFailedError:
            time.sleep(0.1 * 2**attempt)
        else:
            return done["numFilesRemoved"], done["numFilesAdded"], ""
    return 0, 0, f"not compacted: {MAX_TRIES} tries lost against writers"


def _folders_with_small(actions: pa.Table) -> int:
    folders = [path.rpartition("/")[0] for path in actions["path"].to_pylist()]
    return sum(folders.count(folder) > 1 for folder in set(folders))


def _checkpoint(lake: Lake, table: str, now: datetime, *, dry_run: bool) -> bool:
    """Write checkpoints: of the latest version, and of the one where the audit period begins.

    Without the second, a log can be cut off only at a checkpoint that happens to be there.
    """
    made = False
    for version in _worth_a_checkpoint(lake, table, now):
        if not dry_run:
            lake.open(table, version).create_checkpoint()
        made = True
    return made


def _worth_a_checkpoint(lake: Lake, table: str, now: datetime) -> list[int]:
    latest = lake.open(table).version()
    have = {int(name[:20]) for name in _list(lake, table, LOG_FOLDER) if ".checkpoint" in name}
    begins = _first_of_audit_period(lake, table, now)
    wanted = [begins] if begins and begins not in have else []
    return [*wanted, latest] if latest - max(have, default=0) >= MIN_COMMITS else wanted


def _first_of_audit_period(lake: Lake, table: str, now: datetime) -> int:
    """Find the version that was current when the audit period began; 0 if none was made before."""
    begin = (now - timedelta(days=lake.audit_days)).timestamp() * 1000
    before = [one["version"] for one in lake.history(table) if one["timestamp"] <= begin]
    return max(before, default=0)


def _vacuum(
    lake: Lake, table: str, note: CommitProperties, *, dry_run: bool
) -> tuple[int, int, str]:
    """Remove files of rows that no version of the audit period reads, those of dead writers too."""
    hours = lake.audit_days * 24
    try:
        old = lake.open(table).vacuum(retention_hours=hours, dry_run=True, full=True)
        freed = _bytes_of(lake, table, old)
        if old and not dry_run:
            old = lake.open(table).vacuum(
                retention_hours=hours, dry_run=False, full=True, commit_properties=note
            )
    except (CommitFailedError, DeltaError) as error:
        return 0, 0, f"not vacuumed: {error}"
    return len(old), freed, ""


def _bytes_of(lake: Lake, table: str, paths: Sequence[str]) -> int:
    if not paths:
        return 0
    found = _files(lake, lake.uri_of(table)).get_file_info(list(paths))
    return sum(one.size or 0 for one in found)


def _shorten_log(lake: Lake, table: str, log: set[int], now: datetime, *, dry_run: bool) -> int:
    """Remove commits from before the audit period that no later version is read from.

    A new checkpoint and a vacuum do so on their own: ``log`` is what there was before them.
    """
    if dry_run:
        begins = _first_of_audit_period(lake, table, now)
        return sum(version < begins for version in log)
    lake.open(table).cleanup_metadata()
    return len(log - _commits_in(lake, table))


def _commits_in(lake: Lake, table: str) -> set[int]:
    names = _list(lake, table, LOG_FOLDER)
    return {int(name[:20]) for name in names if name.endswith(".json") and name[:20].isdigit()}


def _sweep(lake: Lake, table: str, now: datetime, *, dry_run: bool) -> int:
    """Remove what writers that died left half written on a local disk; a bucket has no such files.

    A local file is written under the name ``<file>#<number>`` and renamed; a commit, as
    ``_commit_<id>.json.tmp``.
    """
    if "://" in lake.uri:
        return 0
    folder, since = Path(lake.uri_of(table)), (now - TEMPORARY_AGE).timestamp()
    left = [
        path
        for path in folder.rglob("*")
        if _is_temporary(path.name) and path.is_file() and path.stat().st_mtime < since
    ]
    for path in [] if dry_run else left:
        path.unlink(missing_ok=True)
    return len(left)


def _is_temporary(name: str) -> bool:
    stem, mark, number = name.rpartition("#")
    return (bool(mark) and bool(stem) and number.isdigit()) or (
        name.startswith("_commit_") and name.endswith(".tmp")
    )


def _files(lake: Lake, uri: str) -> pafs.FileSystem:
    """Open a folder with the credentials of the lake."""
    return pafs.PyFileSystem(DeltaStorageHandler(uri, lake.delta_options))


def _list(lake: Lake, table: str, folder: str) -> list[str]:
    """List the files of a folder of a table by name, all below it when it is the table's own."""
    files = _files(lake, lake.uri_of(table))
    selector = pafs.FileSelector(folder, allow_not_found=True, recursive=not folder)
    found = [one for one in files.get_file_info(selector) if one.type == pafs.FileType.File]
    return [one.base_name if folder else one.path for one in found]
