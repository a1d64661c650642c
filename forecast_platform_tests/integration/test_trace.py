"""From a forecast to the files that it was made from, also those that were restated since."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from forecast_platform import settings as settings_module
from forecast_platform.cli.app import app
from forecast_platform.definitions import build_definitions
from forecast_platform.launching.instance import open_lake
from forecast_platform.settings import Settings
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=34)
FIRST, LAST = pd.Timestamp(RETAILER.first_week), pd.Timestamp(RETAILER.last_week)
RESTATED = LAST - pd.Timedelta(weeks=6)
DATA = ("raw", "conditioned", "features")
MODELS = ("training", "validation", "promotion", "forecasting")


def run(settings: Settings, first: pd.Timestamp, last: pd.Timestamp, groups: Sequence[str]) -> None:
    definitions = build_definitions(settings)
    keys = [
        spec.key
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name in groups and spec.partitions_def is not None
    ]
    job = "condition_data" if set(groups) <= set(DATA) else "weekly_forecast"
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        assert (
            definitions.resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                asset_selection=keys,
                tags={
                    "dagster/asset_partition_range_start": f"north|{first:%Y-%m-%d}",
                    "dagster/asset_partition_range_end": f"north|{last:%Y-%m-%d}",
                },
            )
            .success
        )


def shipments(landing: Path, week: pd.Timestamp) -> Path:
    [path] = (landing / "shipments" / "north" / f"{week:%Y-%m-%d}").glob("*.csv")
    return path


def restate(path: Path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            row | {"units_shipped": str(2 * int(row["units_shipped"]))} for row in rows
        )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Story:
    """A forecast, and a file that was restated after it was made."""

    settings: Settings
    forecast_id: str
    before: str
    after: str
    """SHA-256 of the file's content before and after."""

    def call(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        monkeypatch.setattr(settings_module, "get_settings", lambda: self.settings)
        return CliRunner().invoke(app, list(arguments))

    def json(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
        return json.loads(self.call(monkeypatch, *arguments, "--json").stdout)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    settings = Settings(home=tmp_path_factory.mktemp("trace"), epochs=1)
    simulate(RETAILER, settings.home / "landing")
    run(settings, FIRST, LAST - pd.Timedelta(weeks=2), DATA)
    run(settings, LAST - pd.Timedelta(weeks=1), LAST, DATA)
    run(settings, LAST, LAST, MODELS)
    forecasts = open_lake(settings).read("forecasts")
    served = forecasts[forecasts["served_by"] == "champion"]
    path = shipments(settings.home / "landing", RESTATED)
    before = digest(path)
    restate(path)
    run(settings, RESTATED, RESTATED, ("raw", "conditioned"))
    return Story(settings, str(served["forecast_id"].iloc[0]), before, digest(path))


def test_every_file_is_named_with_the_digest_of_when_it_was_read(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = story.json(monkeypatch, "trace", story.forecast_id)

    landing = story.settings.home / "landing"
    named = {(one["file"], one["sha256"]) for one in chain["files"]}
    restated = shipments(landing, RESTATED).relative_to(landing).as_posix()
    assert (restated, story.before) in named
    assert (restated, story.after) not in named
    others = {one for one in named if one[0] != restated}
    assert others == {(file, digest(landing / file)) for file, _ in others}
    delivered = list((landing / "shipments").rglob("*.csv"))
    assert sum(one["source"] == "shipments" for one in chain["files"]) == len(delivered)


def test_the_chain_leads_from_the_model_to_every_table(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = story.json(monkeypatch, "trace", story.forecast_id)

    lake = open_lake(story.settings)
    runs = {one["table"]: set() for one in chain["tables"]}
    for one in chain["tables"]:
        runs[one["table"]].add(one["run_id"])
        told = next(c for c in lake.history(one["table"]) if c["version"] == one["version"])
        assert (told["run_id"], told["git_commit"]) == (one["run_id"], one["git_commit"])
    assert {"demand_features", "fct_weekly_demand", "dim_stores", "raw_shipments"} <= set(runs)
    assert len(runs["raw_shipments"]) == 2
    assert chain["model"]["trained_by"]["read"].keys() == {"demand_features", "fct_weekly_demand"}
    assert chain["model"]["files_are_as_registered"]
    assert len(chain["model"]["sha256"]) == 64
    assert chain["forecast"]["forecast_id"] == story.forecast_id
    assert chain["problems"] == []


def test_the_tree_is_for_people(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    result = story.call(monkeypatch, "trace", story.forecast_id)

    assert result.exit_code == 0
    assert "served by champion" in result.stdout
    assert "demand-north-" in result.stdout
    assert "files as registered" in result.stdout
    assert "raw_shipments" in result.stdout


def test_the_forecast_is_reproduced_though_a_file_was_restated(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = story.call(monkeypatch, "reproduce", story.forecast_id)

    assert result.exit_code == 0, result.stdout
    assert "Reproduced to the last bit." in result.stdout
    assert "features of the training" in result.stdout


def test_a_changed_model_ends_with_exit_code_1(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = story.json(monkeypatch, "trace", story.forecast_id)["model"]["artifact_uri"]
    path = max(Path(uri.removeprefix("file://")).iterdir(), key=lambda one: one.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    traced = story.call(monkeypatch, "trace", story.forecast_id)
    again = story.call(monkeypatch, "reproduce", story.forecast_id, "--from", "model")

    path.write_bytes(content)
    assert (traced.exit_code, again.exit_code) == (1, 1)
    assert "files not as registered" in traced.stdout
    assert "does not match its registered SHA-256" in traced.stderr
    assert "first to differ is the step 'model'" in again.stdout
    assert story.call(monkeypatch, "trace", story.forecast_id).exit_code == 0


@pytest.mark.parametrize("command", ["trace", "reproduce"])
def test_an_id_that_is_none_is_wrong_use(
    story: Story, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    result = story.call(monkeypatch, command, "north-2024")

    assert result.exit_code == 2
    assert "they look like <region>|<Monday>|<store>/<product>|<weeks ahead>" in result.stderr
    assert "Traceback" not in result.output
