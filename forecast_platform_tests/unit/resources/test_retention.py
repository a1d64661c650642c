"""Old models go, but never one that somebody may still have to answer for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.errors import CorruptModel
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.experiments.book import Arm, Experiment, Version, record
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import Manifest
from forecast_platform.resources.registry import Candidate, ModelRegistry
from forecast_platform.resources.retention import references, retain
from forecast_platform.schemas.experiments import Design, State

NAME = "demand-north-large-fast"
OTHER = "demand-north-large-slow"
WEEKS = list(pd.date_range("2024-01-01", periods=4, freq="W-MON"))
IN_THREE_YEARS = datetime.now(UTC) + timedelta(days=1100)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"))


@pytest.fixture
def registry(make_registry: Callable[[], ModelRegistry]) -> ModelRegistry:
    """Four weeks of two models; the last of each is the champion."""
    registry = make_registry()
    for number, week in enumerate(WEEKS):
        candidates = [
            Candidate(name=name, files={"m": bytes([number])}, alias="challenger")
            for name in (NAME, OTHER)
        ]
        registry.log_region_week("north", week, candidates, metrics={}, params={}, tags={})
    for name in (NAME, OTHER):
        registry.promote(name, 4)
    return registry


def forecast(lake: Lake, week: pd.Timestamp, name: str, version: int | None) -> None:
    """Write a forecast that refers to a model, in place of the week's earlier one."""
    rows = pd.DataFrame(
        {"region": ["north"], "week": [week], "model_name": [name], "model_version": [version]}
    ).astype({"model_version": "Int64"})
    lake.write("forecasts", rows, [RegionWeek("north", week)], run_id="test")


def promote(lake: Lake, week: pd.Timestamp, champion: int | None, **told: object) -> None:
    """Write who serves from a week on, and who waits."""
    row = {
        "region": "north",
        "week": week,
        "model_name": NAME,
        "champion_version": champion,
        "cutoff": week,
        "challenger_version": None,
        "verdict": "promoted",
    }
    rows = pd.DataFrame([row | told])
    rows = rows.astype({"champion_version": "Int64", "challenger_version": "Int64"})
    lake.write("promotion", rows, [RegionWeek("north", week)], run_id="test")


def pin(lake: Lake, state: State, version: int) -> None:
    """Start an experiment of one version against the champion, or end it."""
    pinned = Version(NAME, version, "0" * 64, "nowhere", "2024-01-01")
    one = Experiment(
        region="north",
        name="old_or_new",
        state=state,
        design=Design.STORES,
        segments=("large_fast",),
        a=Arm(follows="champion"),
        b=Arm(versions={"large_fast": pinned}),
        first_week=WEEKS[0],
        last_week=WEEKS[1] if state is State.STOPPED else None,
        who="ada",
        why="to see",
        decided_at=f"2024-01-0{1 + (state is State.STOPPED)}T00:00:00+00:00",
        run_id="test",
    )
    record(lake, [one], "test")


def left(registry: ModelRegistry, name: str) -> list[int]:
    return [one.version for one in registry.versions(name)]


def test_old_versions_go_with_their_runs_and_files_and_bearers_of_an_alias_stay(
    registry: ModelRegistry, lake: Lake
):
    first = registry.find(NAME, 1)

    done = retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == left(registry, OTHER) == [4]
    assert (done.n_versions, len(done.deleted), len(done.deleted_runs)) == (8, 6, 3)
    assert not Path(first.artifact_uri).exists()
    assert registry.load_files(NAME, 4) == {"m": b"\x03"}


def test_what_a_forecast_refers_to_stays_with_its_whole_run(registry: ModelRegistry, lake: Lake):
    forecast(lake, WEEKS[1], NAME, 2)

    done = retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == [2, 4]
    assert left(registry, OTHER) == [4]
    assert done.n_referred == 1
    assert registry.load_files(NAME, 2) == {"m": b"\x01"}


def test_a_forecast_that_was_made_anew_still_needs_its_model_while_it_can_be_read(
    registry: ModelRegistry, lake: Lake
):
    forecast(lake, WEEKS[1], NAME, 2)
    forecast(lake, WEEKS[1], NAME, 3)
    assert len(lake.read("forecasts")) == 1

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == [2, 3, 4]
    assert references(lake) == {(NAME, 2), (NAME, 3)}


def test_a_forecast_without_a_registered_model_refers_to_none(lake: Lake):
    forecast(lake, WEEKS[1], NAME, None)
    forecast(lake, WEEKS[2], NAME, 3)

    assert references(lake) == {(NAME, 3)}


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPED])
def test_what_an_experiment_names_stays_while_it_runs_and_when_it_is_over(
    registry: ModelRegistry, lake: Lake, state: State
):
    pin(lake, State.RUNNING, 2)
    if state is State.STOPPED:
        pin(lake, State.STOPPED, 2)

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == [2, 4]
    assert registry.load_files(NAME, 2) == {"m": b"\x01"}


def test_the_arm_that_did_not_serve_a_forecast_stays_too(registry: ModelRegistry, lake: Lake):
    arms = {"segment": "large_fast", "model_name": NAME, "model_version": 1}
    rows = pd.DataFrame([arms | {"region": "north", "week": WEEKS[1], "version_b": 3}])
    lake.write("forecasts", rows, [RegionWeek("north", WEEKS[1])], run_id="test")

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == [1, 3, 4]


def test_a_rollback_finds_every_former_champion(registry: ModelRegistry, lake: Lake):
    for week, version in zip(WEEKS, (1, 2, 2, 4), strict=True):
        promote(lake, week, version)

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    former = Manifest(lake.read("promotion")).previous(NAME)
    assert former is not None
    assert registry.load_files(NAME, int(former["champion_version"])) == {"m": b"\x01"}
    assert left(registry, NAME) == [1, 2, 4]


def test_a_challenger_that_waits_for_a_word_stays_and_those_that_were_judged_go(
    registry: ModelRegistry, lake: Lake
):
    for week, version in zip(WEEKS, (1, 2, 3), strict=False):
        promote(lake, week, None, challenger_version=version, verdict="pending")

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == [3, 4]


def test_a_failover_can_go_back_to_the_last_forecast_and_the_baseline(
    registry: ModelRegistry, lake: Lake
):
    average = "demand-north-large-historical_average"
    for number, week in enumerate(WEEKS):
        one = Candidate(name=average, files={"m": bytes([9, number])}, alias="baseline")
        registry.log_region_week("north", week, [one], metrics={}, params={}, tags={})
    promote(lake, WEEKS[2], 1, model_name=average)
    forecast(lake, WEEKS[3], NAME, 3)

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, average) == [1, 4]
    assert left(registry, NAME) == [3, 4]


@pytest.mark.parametrize(("days", "n_left"), [(700, 4), (731, 1)])
def test_nothing_within_the_audit_period_is_deleted(
    registry: ModelRegistry, lake: Lake, days: int, n_left: int
):
    retain(registry, lake, now=datetime.now(UTC) + timedelta(days=days), keep_days=30)

    assert len(left(registry, NAME)) == n_left


def test_a_dry_run_deletes_nothing_and_says_what_would_be(registry: ModelRegistry, lake: Lake):
    done = retain(registry, lake, now=IN_THREE_YEARS, keep_days=365, dry_run=True)

    assert len(done.deleted) == 6
    assert left(registry, NAME) == [1, 2, 3, 4]


@pytest.mark.parametrize("verb", ["delete", "delete_run"])
def test_what_was_stopped_halfway_is_finished_by_the_next_call(
    registry: ModelRegistry, lake: Lake, monkeypatch: pytest.MonkeyPatch, verb: str
):
    artifacts = Path(registry.artifacts_uri)
    does, calls = getattr(ModelRegistry, verb), []

    def stop(self: ModelRegistry, *given) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        does(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(ModelRegistry, verb, stop)
        with pytest.raises(KeyboardInterrupt):
            retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, NAME) == left(registry, OTHER) == [4]
    assert len([path for path in artifacts.rglob("m") if path.is_file()]) == 2


def test_models_of_others_are_left_alone(registry: ModelRegistry, lake: Lake):
    foreign = Candidate(name="churn", files={"m": b"1"}, alias="challenger")
    registry.log_region_week("north", WEEKS[0], [foreign], metrics={}, params={}, tags={})
    second = Candidate(name="churn", files={"m": b"2"}, alias="challenger")
    registry.log_region_week("north", WEEKS[1], [second], metrics={}, params={}, tags={})

    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    assert left(registry, "churn") == [1, 2]


def test_a_deleted_version_is_no_model_any_more(registry: ModelRegistry, lake: Lake):
    retain(registry, lake, now=IN_THREE_YEARS, keep_days=365)

    with pytest.raises(CorruptModel, match="no version 1"):
        registry.load_files(NAME, 1)
