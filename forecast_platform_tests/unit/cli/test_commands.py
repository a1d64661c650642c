"""What the commands say to a person, without running any asset."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from forecast_platform.cli.app import app
from forecast_platform.cli.dev import OF_NO_USE, quietened
from forecast_platform.cli.forecast import without_formulas

COMMANDS = [
    [],
    ["demo"],
    ["simulate"],
    ["run"],
    ["status"],
    ["dev"],
    ["regions"],
    ["regions", "add"],
    ["regions", "list"],
    ["forecast"],
    ["forecast", "show"],
    ["forecast", "export"],
    ["trace"],
    ["reproduce"],
    ["lake"],
    ["lake", "status"],
    ["lake", "maintain"],
]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def said(result: Result) -> str:
    """Everything that was printed, in one line, without colours and frames."""
    text = re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", result.output)
    return " ".join(text.split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = call(*command, "--help")

    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_paragraphs_of_help_flow_to_the_width_of_the_terminal() -> None:
    lines = [line.strip() for line in call("models", "rollback", "--help").output.splitlines()]

    [paragraph] = [line for line in lines if line.startswith("The withdrawn version")]
    assert "a better one of a later week can take its place" in paragraph


def test_the_ui_starts_without_dagsters_warnings_about_itself() -> None:
    made = [
        "import warnings",
        *(f"warnings.warn({beginning + ' and so on'!r}, stacklevel=1)" for beginning in OF_NO_USE),
        "warnings.warn('the disk is full', stacklevel=1)",
    ]

    told = subprocess.run(
        [sys.executable, "-c", "\n".join(made)],
        env={"PYTHONWARNINGS": quietened("")},
        capture_output=True,
        text=True,
        check=True,
    ).stderr

    assert told.count("Warning") == 1
    assert "the disk is full" in told


def test_the_first_help_names_the_exit_codes() -> None:
    assert "130 interrupted" in said(call("--help"))


@pytest.mark.usefixtures("home")
class TestAnswersToWrongInput:
    def test_a_region_that_does_not_exist_is_answered_with_the_known_ones(self) -> None:
        call("regions", "add", "north", "south")

        result = call("run", "--region", "nroth", "--week", "2024-03-04")

        assert result.exit_code == 2
        assert "registered are north, south" in said(result)
        assert "Traceback" not in result.output

    def test_a_week_that_is_not_a_monday_is_answered_with_its_monday(self) -> None:
        call("regions", "add", "north")

        result = call("run", "--week", "2024-03-06")

        assert result.exit_code == 2
        assert "here 2024-03-04" in said(result)

    def test_a_week_of_the_future_is_refused(self) -> None:
        call("regions", "add", "north")

        result = call("run", "--week", "2999-12-30")

        assert result.exit_code == 2
        assert "is not over" in said(result)

    def test_an_unknown_stage_is_answered_with_the_stages(self) -> None:
        call("regions", "add", "north")

        result = call("run", "--week", "2024-03-04", "--select", "training,cooking")

        assert result.exit_code == 2
        assert "'cooking'" in said(result)
        assert "raw, conditioned, features" in said(result)

    def test_deep_horizons_are_not_mixed_with_the_week(self) -> None:
        call("regions", "add", "north")

        result = call("run", "--week", "2024-03-04", "--select", "training,deep_horizon")

        assert result.exit_code == 2
        assert "select it alone" in said(result)

    def test_deep_horizons_run_in_their_own_job(self) -> None:
        call("regions", "add", "north")

        result = call("run", "--week", "2024-03-04", "--select", "deep_horizon")

        assert result.exit_code == 1
        assert "no table fct_weekly_demand" in said(result)

    def test_a_region_name_that_could_be_anything_else_is_refused(self) -> None:
        result = call("regions", "add", "../north")

        assert result.exit_code == 2
        assert "is not a region name" in said(result)

    def test_showing_forecasts_that_nobody_made_says_how_to_make_them(self) -> None:
        call("regions", "add", "north")

        result = call("forecast", "show")

        assert result.exit_code == 1
        assert "forecast-platform run" in said(result)

    def test_an_export_to_an_unknown_format_is_refused(self, tmp_path: Path) -> None:
        result = call("forecast", "export", "--to", str(tmp_path / "forecasts.xml"))

        assert result.exit_code == 2
        assert ".csv nor in .parquet" in said(result)

    def test_a_wart_that_does_not_exist_is_answered_with_the_warts(self) -> None:
        result = call("simulate", "--regions", "1", "--weeks", "1", "--wart", "earthquake")

        assert result.exit_code == 2
        assert "negative_units" in said(result)


def test_regions_are_listed_one_a_line_in_order(home: Path) -> None:
    call("regions", "add", "west", "east")

    assert call("regions", "list").stdout.split() == ["west", "east"]


def test_status_of_a_region_without_anything_shows_that(home: Path) -> None:
    call("regions", "add", "north")

    result = call("status")

    assert result.exit_code == 0
    assert "north" in result.stdout


def test_simulate_delivers_files_and_registers_the_regions(home: Path) -> None:
    size = ["--regions", "2", "--stores", "4", "--products", "5", "--weeks", "2"]

    result = call("simulate", *size)

    assert result.exit_code == 0
    assert call("regions", "list").stdout.split() == ["north_texas", "south_texas"]
    delivered = home / "landing" / "shipments" / "north_texas" / "2023-01-02" / "shipments.csv"
    assert delivered.exists()


def test_text_that_a_spreadsheet_would_run_is_made_harmless() -> None:
    frame = pd.DataFrame({"store_id": ["=HYPERLINK(1)", "+1", "@x", "S1", None], "y": [-1.0] * 5})

    safe = without_formulas(frame)

    assert safe["store_id"].tolist()[:4] == ["'=HYPERLINK(1)", "'+1", "'@x", "S1"]
    assert safe["store_id"].isna().tolist() == [False] * 4 + [True]
    assert safe["y"].tolist() == frame["y"].tolist()
