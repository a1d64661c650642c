"""Old models go, but never one that somebody may still have to answer for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.errors import CorruptModel
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Candidate, ModelRegistry
from forecast_platform.resources.retention import references, retain

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
