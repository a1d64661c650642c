"""The composition root: what exists, with which resources, started by what.

Only this module makes resources from settings. Asset and check modules are found by being in
their package. It is imported by every process of Dagster, so nothing here may import torch,
mlflow or scikit-learn; assets import those where they use them.
"""

import dagster as dg

from forecast_platform import assets, checks
from forecast_platform.automation.alerts import build_alert_sensor
from forecast_platform.automation.decisions import decide_on_models
from forecast_platform.automation.experiments import experiment_jobs
from forecast_platform.automation.jobs import jobs
from forecast_platform.automation.maintenance import build_maintenance_schedule, lake_maintenance
from forecast_platform.automation.rescue import build_rescue_sensor, forecast_anyway
from forecast_platform.automation.retraining import build_retraining_sensor
from forecast_platform.automation.schedules import (
    build_deep_forecast_schedule,
    build_weekly_forecast_schedule,
)
from forecast_platform.automation.sensors import build_landing_sensor
from forecast_platform.resources.alerts.resource import Alerts
from forecast_platform.resources.as_of import LandingAsOf, build_lake
from forecast_platform.resources.conditioning import Conditioning
from forecast_platform.resources.io_manager import LakeIOManager
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.lifecycle import Lifecycle, build_lifecycle
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.registry import ModelRegistry
from forecast_platform.settings import Deployment, Settings, get_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Build everything that one deployment runs.

    Parameters
    ----------
    settings : Settings
        Where the data is and how models are trained. Schedules and sensors start switched on
        except in the ``local`` deployment; as of a past time there are none.
    """
    unattended = settings.deployment is not Deployment.LOCAL
    is_now = settings.as_of is None
    look_every = settings.landing_interval_seconds
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(assets, include_specs=True),
        asset_checks=dg.load_asset_checks_from_package_module(checks),
        jobs=[
            *jobs,
            *([lake_maintenance, decide_on_models, forecast_anyway] if is_now else []),
            *(experiment_jobs if is_now else []),
        ],
        schedules=[
            build_weekly_forecast_schedule(running=unattended),
            build_deep_forecast_schedule(running=unattended),
            build_maintenance_schedule(running=unattended),
        ]
        if is_now
        else [],
        sensors=[
            build_landing_sensor(running=unattended, every_seconds=look_every),
            build_rescue_sensor(running=unattended),
            build_retraining_sensor(
                running=unattended,
                every_seconds=settings.retraining_interval_seconds,
                max_per_week=settings.max_retrainings_per_week,
            ),
            build_alert_sensor(running=unattended, every_seconds=settings.alerts_interval_seconds),
        ]
        if is_now
        else [],
        resources=build_resources(settings),
        executor=dg.in_process_executor,
    )


def build_resources(
    settings: Settings,
) -> dict[str, dg.ConfigurableResource | dg.ConfigurableIOManager | Lifecycle]:
    """Make what assets talk to the outside with."""
    sources_file = str(settings.sources_file) if settings.sources_file else None
    lake = build_lake(settings)
    return {
        "landing": (Landing if settings.as_of is None else LandingAsOf)(
            uri=settings.landing,
            max_refused_share=settings.max_refused_share,
            settle_seconds=settings.settle_seconds,
            storage_options=settings.storage_options,
            sources_file=sources_file,
        ),
        "lake": lake,
        "alerts": Alerts(
            file=str(settings.alerts_file) if settings.alerts_file else "",
            dagster_url=settings.dagster_url,
        ),
        "lake_io_manager": LakeIOManager(lake=lake),
        "conditioning": Conditioning(target=settings.conditioning_target),
        "registry": ModelRegistry(
            tracking_uri=settings.registry,
            artifacts_uri=settings.registry_artifacts,
            copies_folder=str(settings.model_copies),
            keep_days=settings.keep_models_days,
        ),
        "lifecycle": build_lifecycle(settings),
        "model_settings": ModelSettings(
            horizon=settings.horizon,
            training_weeks=settings.training_weeks,
            min_history_weeks=settings.min_history_weeks,
            warm_start=settings.warm_start,
            warm_start_weeks=settings.warm_start_weeks,
            epochs=settings.epochs,
            seed=settings.seed,
            threads=settings.threads,
            device=settings.device,
            members=list(settings.member_paths),
        ),
    }


defs = build_definitions(get_settings())
