"""The composition root: what exists, with which resources, started by what.

Only this module makes resources from settings. Asset and check modules are found by being in
their package. It is imported by every process of Dagster, so nothing here may import torch,
mlflow or scikit-learn; assets import those where they use them.
"""

import dagster as dg

from forecast_platform import assets, checks
from forecast_platform.automation.jobs import jobs
from forecast_platform.automation.schedules import build_weekly_forecast_schedule
from forecast_platform.settings import Deployment, Settings, get_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Build everything that one deployment runs.

    Parameters
    ----------
    settings : Settings
        Where the data is and how models are trained. Schedules and sensors start switched on
        except in the ``local`` deployment.
    """
    unattended = settings.deployment is not Deployment.LOCAL
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(assets),
        asset_checks=dg.load_asset_checks_from_package_module(checks),
        jobs=jobs,
        schedules=[build_weekly_forecast_schedule(running=unattended)],
        resources=build_resources(settings),
        executor=dg.in_process_executor,
    )


def build_resources(settings: Settings) -> dict[str, object]:
    """Make what assets talk to the outside with."""
    return {}


defs = build_definitions(get_settings())
