"""What the commands on models show, do and refuse; what a decision does is tested elsewhere."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from forecast_platform.cli.app import app
from forecast_platform.launching.instance import add_regions, open_instance, open_lake
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.registry import Candidate
from forecast_platform.schemas.models import Promotion
from forecast_platform.schemas.tables import as_table
from forecast_platform.settings import Settings
from forecast_platform_tests.fakes import InMemoryRegistry

REGION = "north"
NAME = "demand-north-large-fast"
WEEKS = list(pd.date_range("2024-03-04", periods=2, freq="W-MON").as_unit("us"))
run = CliRunner().invoke


@pytest.fixture
def registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> InMemoryRegistry:
    """Version 1 serves since a week ago; version 2 waits."""
    registry = InMemoryRegistry()
    monkeypatch.setattr(
        "forecast_platform.launching.registry.open_registry", lambda settings: registry
    )
    settings = Settings(home=home)
    rows = []
    for number, week in enumerate(WEEKS):
        one = Candidate(name=NAME, files={"m": bytes([number])}, alias="challenger")
        registry.log_region_week(REGION, week, [one], metrics={}, params={}, tags={})
        verdict = ("promoted", "pending")[number]
        rows.append(row(week, registry.find(NAME, 1), number + 1, verdict))
    keys = [RegionWeek(REGION, week) for week in WEEKS]
    lake = open_lake(settings)
    lake.write("promotion", as_table(pd.DataFrame(rows), Promotion), keys, run_id="test")
    with open_instance(settings) as instance:
        add_regions(instance, [REGION])
    return registry


def row(week, champion, challenger: int, verdict: str) -> dict:
    return {
        "region": REGION,
        "week": week,
        "segment": "large_fast",
        "format": "large",
        "velocity": "fast",
        "kind": "ensemble",
        "model_name": NAME,
        "challenger_version": challenger,
        "champion_version": champion.version,
        "verdict": verdict,
        "reason": "MAPE 0.300 is at most 0.450",
        "sha256": champion.sha256,
        "artifact_uri": champion.artifact_uri,
        "cutoff": champion.cutoff,
        "mape_challenger": 0.3,
        "mape_champion": 0.31,
        "mape_baseline": 0.5,
    }


def test_a_waiting_challenger_is_listed_approved_and_rolled_back(registry: InMemoryRegistry):
    listed = run(app, ["models", "list", "--json"])
    [found] = json.loads(listed.stdout)
    assert (found["segment"], found["verdict"], found["champion_version"]) == (
        "large_fast",
        "pending",
        1,
    )
    assert "pending" in run(app, ["models", "list"]).stdout

    approved = run(app, ["models", "approve", REGION, "--who", "ada", "--why", "agreed"])
    assert approved.exit_code == 0, approved.output
    assert f"{NAME}: approved; v2 serves from 2024-03-11 on" in approved.stdout
    again = f"run --region {REGION} --week 2024-03-11 --select forecasting"
    assert again in approved.stderr
    assert registry.champion(NAME).version == 2
    assert "approved by ada: agreed" in run(app, ["models", "show", REGION]).stdout

    back = run(app, ["models", "rollback", REGION, "--segment", "large_fast", "--why", "no"])
    assert back.exit_code == 0, back.output
    assert registry.champion(NAME).version == 1
    told = json.loads(run(app, ["models", "history", REGION, "--json"]).stdout)
    assert [one["verdict"] for one in told] == ["approved", "rolled_back"]
    assert told[0]["who"] == "ada"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["models", "approve", REGION, "--segment", "huge", "--why", "x"], "no segment huge"),
        (["models", "rollback", REGION, "--why", "x"], "no former champion"),
        (["models", "reject", "south", "--why", "x"], "no model of 'south'"),
        (["models", "approve", REGION, "--why", " "], "say who decides and why"),
        (["models", "show", "south"], "No model was judged yet"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(registry, command: list[str], told: str):
    done = run(app, command)

    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.output


def test_an_export_never_writes_over_a_folder(registry, tmp_path: Path):
    done = run(app, ["models", "export", REGION, "--to", str(tmp_path)])

    assert done.exit_code == 2
    assert "is there already" in done.stderr
