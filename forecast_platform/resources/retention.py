"""Old versions and runs of the registry removed, never one that somebody may still ask for.

Kept are the models of all forecasts and of both arms beside them, all that ever served (rollback
and failover go back to them), those that an experiment names, and those that wait for approval.
This is read from the files that the lake still holds, not only from its latest versions: a forecast
that was made anew can be read as it was for the audit period, and so must be its model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.fs import DeltaStorageHandler

from forecast_platform.resources.experiments.book import TABLE as EXPERIMENTS
from forecast_platform.resources.experiments.book import Arm
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION, Manifest
from forecast_platform.resources.registry import ModelRegistry, ModelVersionInfo, model_name
from forecast_platform.schemas.models import PENDING
from forecast_platform.vocabulary import REGION, SEGMENT, WEEK

FORECASTS: Final = "forecasts"
REFERENCES: Final = {FORECASTS: "model_version", PROMOTION: "champion_version"}
"""Tables that refer to models, and their column of the version; that of the name is the same."""

ARM_VERSIONS: Final = ("version_a", "version_b")
"""Columns of forecasts with the versions of both arms, also of the one that did not serve."""

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
        Versions that were old enough, but are kept for what refers to them.
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
    """Delete versions that are older than a period, bear no alias, and are referred to by nothing.

    Runs go first and their versions after them: a version that is left without its run is old as
    before, so that what is stopped halfway is finished by the next call.

    Parameters
    ----------
    registry : ModelRegistry
    lake : Lake
        Its forecasts, promotions and experiments say what is kept.
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
    """Collect every version that the lake refers to."""
    found = {*_named_by_experiments(lake), *_waiting(lake)}
    for table, column in REFERENCES.items():
        for region, rows in _files_of(lake, table):
            found.update(_pairs(rows, "model_name", column))
            if table == FORECASTS:
                found.update(_of_arms(rows, region))
    return found


def _files_of(lake: Lake, table: str) -> Iterator[tuple[str, pa.Table]]:
    """Read all files of a table, also of its former versions, with the region of each."""
    if not lake.exists(table):
        return
    files = pafs.PyFileSystem(DeltaStorageHandler(lake.uri_of(table), lake.delta_options))
    wanted = {"model_name", REFERENCES[table], SEGMENT, *ARM_VERSIONS}
    for entry in files.get_file_info(pafs.FileSelector("", recursive=True)):
        if entry.type != pafs.FileType.File or not entry.path.endswith(".parquet"):
            continue
        if "_delta_log" in entry.path:
            continue
        with files.open_input_file(entry.path) as file:
            rows = pq.ParquetFile(file)
            names = [name for name in rows.schema_arrow.names if name in wanted]
            folders = dict(part.split("=", 1) for part in entry.path.split("/") if "=" in part)
            yield folders.get(REGION, ""), rows.read(columns=names)


def _pairs(rows: pa.Table, name: str, version: str) -> Iterator[Reference]:
    known = rows.select([name, version]).drop_null().group_by([name, version]).aggregate([])
    for row in known.to_pylist():
        yield str(row[name]), int(row[version])


def _of_arms(rows: pa.Table, region: str) -> Iterator[Reference]:
    """Find the models of both arms: one serves a row, and the other is compared with it."""
    for column in ARM_VERSIONS:
        if column in rows.column_names:
            for segment, version in _pairs(rows, SEGMENT, column):
                form, _, velocity = segment.partition("_")
                yield model_name(region, form, velocity), version


def _named_by_experiments(lake: Lake) -> Iterator[Reference]:
    """Find the versions that experiments name, also those that are over: their results stay."""
    if not lake.exists(EXPERIMENTS):
        return
    rows = lake.read(EXPERIMENTS, columns=["arm_a", "arm_b"])
    for text in {*rows["arm_a"], *rows["arm_b"]}:
        for one in Arm.from_json(text).versions.values():
            yield one.model_name, one.version


def _waiting(lake: Lake) -> Iterator[Reference]:
    """Find the challengers that wait for a person's word."""
    if not lake.exists(PROMOTION):
        return
    rows = lake.read(PROMOTION, columns=["model_name", WEEK, "verdict", "challenger_version"])
    for row in Manifest(rows).newest.values():
        if row["verdict"] == PENDING and pd.notna(row["challenger_version"]):
            yield str(row["model_name"]), int(row["challenger_version"])


def _delete(
    registry: ModelRegistry, versions: Sequence[ModelVersionInfo], runs: Sequence[str]
) -> None:
    for run_id in runs:
        registry.delete_run(run_id)
    for one in versions:
        registry.delete(one.name, one.version)
