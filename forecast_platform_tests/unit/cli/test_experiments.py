"""The commands of experiments, where there is little to compare."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from forecast_platform.cli.app import app

START = ["experiments", "start", "north", "trial", "--b", "challenger", "--why", "x"]


@pytest.fixture
def north(home: Path) -> None:
    assert CliRunner().invoke(app, ["regions", "add", "north"]).exit_code == 0


def test_a_region_that_was_never_forecast_is_told_what_to_do_first(north: None):
    result = CliRunner().invoke(app, START)

    assert result.exit_code == 1
    assert "forecast-platform run --region north" in result.stderr


def test_an_unknown_region_is_refused_with_those_that_there_are(north: None):
    result = CliRunner().invoke(app, ["experiments", "status", "nord"])

    assert result.exit_code == 2
    assert "registered are north" in result.stderr


def test_without_an_experiment_the_list_says_how_to_start_one(north: None):
    result = CliRunner().invoke(app, ["experiments", "list"])

    assert result.exit_code == 0
    assert "experiments start --help" in result.stderr


def test_stopping_what_never_ran_is_refused(north: None):
    stop = ["experiments", "stop", "north", "trial", "--why", "x", "--promote", "winner"]

    result = CliRunner().invoke(app, stop)

    assert result.exit_code == 1
    assert "'trial' is no experiment of north" in result.stderr
