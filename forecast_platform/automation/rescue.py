"""The sensor that forecasts a week whose run failed before it came to forecast.

Scoring needs features alone: it takes the champions of before, and fails over where it must. What
serves is decided in `forecast_platform.resources.serving`. See
https://docs.dagster.io/guides/automate/sensors/run-status-sensors.
"""

from typing import Final

import dagster as dg

from forecast_platform.automation.jobs import WEEK_RUN_SECONDS, weekly_forecast
from forecast_platform.partitions import PARTITION_TAGS, region_weeks

FORECASTS: Final = dg.AssetKey("forecasts")
FEATURES: Final = dg.AssetKey("demand_features")
RESCUED: Final = "forecast_platform/rescues"
"""Tag of the run that is made: the run that failed."""

forecast_anyway = dg.define_asset_job(
    "forecast_anyway",
    selection=dg.AssetSelection.assets(FORECASTS),
    partitions_def=region_weeks,
    description=(
        "Forecast a week by the champions of before, when its own run failed at training, "
        "validation or promotion."
    ),
    tags={"dagster/max_runtime": str(WEEK_RUN_SECONDS)},
)


def build_rescue_sensor(*, running: bool) -> dg.SensorDefinition:
    """Build the sensor that watches for runs that failed between features and forecasts.

    Parameters
    ----------
    running : bool
        Whether a fresh installation starts with the sensor switched on.
    """

    @dg.run_failure_sensor(
        name="rescue_sensor",
        monitored_jobs=[weekly_forecast],
        request_jobs=[forecast_anyway],
        description="Forecast a week anyway, when its run failed at training or promotion.",
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def rescue_sensor(
        context: dg.RunFailureSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        run, kinds = context.dagster_run, dg.DagsterEventType
        planned = _tables(context.instance, run.run_id, kinds.ASSET_MATERIALIZATION_PLANNED)
        made = _tables(context.instance, run.run_id, kinds.ASSET_MATERIALIZATION)
        if FORECASTS not in planned:
            return dg.SkipReason(f"run {run.run_id} was not to forecast")
        if FORECASTS in made:
            return dg.SkipReason(f"run {run.run_id} failed after it had forecast")
        if FEATURES in planned and FEATURES not in made:
            return dg.SkipReason(f"run {run.run_id} made no features: there is nothing to score")
        tags = {name: run.tags[name] for name in PARTITION_TAGS if name in run.tags}
        return dg.RunRequest(
            run_key=run.run_id, job_name=forecast_anyway.name, tags={**tags, RESCUED: run.run_id}
        )

    return rescue_sensor


def _tables(
    instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType
) -> set[dg.AssetKey]:
    """Find which of the two tables the events of a run tell of."""
    found = set()
    for entry in instance.all_logs(run_id, of_type=kind):
        event = entry.dagster_event
        if event is not None and event.asset_key in {FORECASTS, FEATURES}:
            found.add(event.asset_key)
    return found
