"""Old versions and runs of the registry removed, never one that a kept forecast refers to.

What is kept is read from the files that the lake still holds, not only from its latest versions: a
forecast that was made anew can be read as it was for the audit period, and so must be its model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.fs import DeltaStorageHandler

from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION
from forecast_platform.resources.registry import ModelRegistry, ModelVersionInfo

FORECASTS: Final = "forecasts"
REFERENCES: Final = {FORECASTS: "model_version", PROMOTION: "champion_version"}
"""Tables that refer to models, and their column of the version; that of the name is the same."""

OURS: Final = "demand-"
"""Registered names of the platform begin so; others are left alone."""

Reference = tuple[str, int]


@dataclass(frozen=True)
class Retention:
    """What retention did to the registry, or would do.

    Attributes
    ----------
    n_versions : int
        Versions that were looked at.
    deleted : tuple of ModelVersionInfo
    deleted_runs : tuple of str
        Runs with all their files, of whose versions none is left.
    n_referred : int
        Versions that were old enough, but are kept for forecasts that refer to them.
    """

    n_versions: int
    deleted: tuple[ModelVersionInfo, ...]
    deleted_runs: tuple[str, ...]
    n_referred: int


def retain(
    registry: ModelRegistry,
    lake: Lake,
    *,
    now: datetime,
    keep_days: int | None = None,
    dry_run: bool = False,
) -> Retention:
    """Delete versions that are older than a period, bear no alias, and made no kept forecast.

    Runs go first and their versions after them: a version that is left without its run is old as
    before, so that what is stopped halfway is finished by the next call.

    Parameters
    ----------
    registry : ModelRegistry
    lake : Lake
        Its forecasts and promotions say what is kept.
    now : datetime.datetime
        End of the period, with a time zone.
    keep_days : int, optional
        The period [days], by default the registry's; at least that of the lake's audit is taken.
    dry_run : bool, default=False
        Say what would be deleted, and delete nothing.

    Raises
    ------
    RegistryUnavailable
        If the registry cannot be reached.
    """
    before = now - timedelta(days=max(keep_days or registry.keep_days, lake.audit_days))
    names = [name for name in registry.names() if name.startswith(OURS)]
    versions = [one for name in names for one in registry.versions(name)]
    old = [one for one in versions if one.created < before and not one.aliases]
    referred = references(lake) if old else set()
    deleted = [one for one in old if (one.name, one.version) not in referred]
    gone = {(one.name, one.version) for one in deleted}
    kept_runs = {one.run_id for one in versions if (one.name, one.version) not in gone}
    runs = sorted({one.run_id for one in deleted if one.run_id} - kept_runs)
    if not dry_run:
        _delete(registry, deleted, runs)
    return Retention(len(versions), tuple(deleted), tuple(runs), len(old) - len(deleted))


def references(lake: Lake) -> set[Reference]:
    """Collect every version that a forecast or a promotion in any file of the lake refers to."""
    return {found for table in REFERENCES for found in _references_of(lake, table)}


def _references_of(lake: Lake, table: str) -> Iterator[Reference]:
    if not lake.exists(table):
        return
    files = pafs.PyFileSystem(DeltaStorageHandler(lake.uri_of(table), lake.delta_options))
    column = REFERENCES[table]
    selector = pafs.FileSelector("", recursive=True)
    for entry in files.get_file_info(selector):
        if entry.type != pafs.FileType.File or not entry.path.endswith(".parquet"):
            continue
        if "_delta_log" in entry.path:
            continue
        with files.open_input_file(entry.path) as file:
            rows = pq.read_table(file, columns=["model_name", column]).drop_null()
        pairs = rows.group_by(["model_name", column]).aggregate([])
        for row in pairs.to_pylist():
            yield str(row["model_name"]), int(row[column])


def _delete(
    registry: ModelRegistry, versions: Sequence[ModelVersionInfo], runs: Sequence[str]
) -> None:
    for run_id in runs:
        registry.delete_run(run_id)
    for one in versions:
        registry.delete(one.name, one.version)
