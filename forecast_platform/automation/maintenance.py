"""The job that cares for lake and registry, and when it runs.

What is done to a table is in `forecast_platform.resources.maintenance`, to registered models in
`forecast_platform.resources.retention`. The ops are no assets: they make no table, and have no
region and week. See
https://docs.dagster.io/guides/build/ops.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
import pandas as pd
from pydantic import Field

from forecast_platform.resources.lake import Lake
from forecast_platform.resources.maintenance import TableCare, maintain
from forecast_platform.resources.registry import ModelRegistry
from forecast_platform.resources.retention import retain

SUNDAY_NIGHT: Final = "0 3 * * 0"
"""Far from Monday's forecasts [UTC]."""

MAX_RUN_SECONDS: Final = 4 * 60 * 60


class MaintenanceConfig(dg.Config):
    """What one maintenance does."""

    dry_run: bool = Field(default=False, description="Say what would be done, change nothing.")


@dg.op(
    name="maintain_lake",
    description=(
        "Put small files together, write checkpoints, and remove what is older than the audit "
        "period, table by table."
    ),
)
def maintain_lake(
    context: dg.OpExecutionContext, lake: Lake, config: MaintenanceConfig
) -> dg.Output[None]:
    """Care for all tables; what had to be left for the next time is a warning."""
    now = datetime.now(UTC)
    done = maintain(lake, now=now, run_id=context.run_id, dry_run=config.dry_run)
    for one in done:
        if one.problem:
            context.log.warning("%s: %s", one.table, one.problem)
    return dg.Output(None, metadata=_metadata(done))


def _metadata(done: Sequence[TableCare]) -> dict[str, Any]:
    totals = {
        "n_tables": len(done),
        "compacted_files": sum(one.compacted_from - one.compacted_to for one in done),
        "removed_files": sum(one.removed_files for one in done),
        "removed_logs": sum(one.removed_logs for one in done),
        "freed_bytes": sum(one.freed_bytes for one in done),
    }
    if not done:
        return totals
    table = pd.DataFrame([one.described() for one in done])
    return {**totals, "tables": dg.MetadataValue.md(table.to_markdown(index=False))}


@dg.op(
    name="retain_models",
    ins={"after": dg.In(dg.Nothing)},
    description=(
        "Delete registered models that are older than the period, bear no alias, and made no "
        "forecast that the lake still holds."
    ),
)
def retain_models(
    context: dg.OpExecutionContext, lake: Lake, registry: ModelRegistry, config: MaintenanceConfig
) -> dg.Output[None]:
    """Delete old models, once the lake has let go of the rows that no audit needs."""
    done = retain(registry, lake, now=datetime.now(UTC), dry_run=config.dry_run)
    for one in done.deleted:
        verb = "would delete" if config.dry_run else "deleted"
        context.log.info("%s version %s of %s", verb, one.version, one.name)
    return dg.Output(
        None,
        metadata={
            "n_versions": done.n_versions,
            "deleted_versions": len(done.deleted),
            "deleted_runs": len(done.deleted_runs),
            "kept_for_forecasts": done.n_referred,
        },
    )


@dg.job(
    name="lake_maintenance",
    description=(
        "Care for the lake and the registry: compact, checkpoint, and remove what no audit needs, "
        "also of models."
    ),
    tags={"dagster/max_runtime": str(MAX_RUN_SECONDS)},
)
def lake_maintenance() -> None:
    """Care for the lake first: models that only its removed files referred to can go then."""
    retain_models(after=maintain_lake())


def build_maintenance_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Build the schedule that cares for lake and registry in the night to Sunday.

    Parameters
    ----------
    running : bool
        Whether a fresh installation starts with the schedule switched on.
    """
    return dg.ScheduleDefinition(
        name="lake_maintenance_schedule",
        job=lake_maintenance,
        cron_schedule=SUNDAY_NIGHT,
        execution_timezone="UTC",
        description="Care for the lake and the registry on Sunday 03:00.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
