"""The alerts of one deployment, as Dagster's sensors get them."""

import logging
from pathlib import Path

import dagster as dg
from pydantic import Field

from forecast_platform.resources.alerts.config import AlertsConfig, read_alerts_file
from forecast_platform.resources.alerts.notifier import Notifier
from forecast_platform.resources.alerts.sinks import build_sinks
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import secret


class Alerts(dg.ConfigurableResource):
    """Who is told of what, and where alerts link to."""

    file: str = Field(default="", description="YAML with sinks and routes; none: all is logged.")
    dagster_url: str = Field(description="Where people open Dagster's UI.")

    def config(self) -> AlertsConfig:
        """Read the alerts file.

        Raises
        ------
        BadAlerts
            If it has another form.
        """
        return read_alerts_file(Path(self.file) if self.file else None)

    def notifier(self, lake: Lake, *, run_id: str, logger: logging.Logger) -> Notifier:
        """Make what folds and sends.

        Raises
        ------
        BadAlerts
            If the alerts file has another form.
        """
        config = self.config()
        sinks = build_sinks(config, secrets=secret, logger=logger)
        return Notifier(lake, config, sinks, run_id)
