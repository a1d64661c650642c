"""An old week made again gives the old answer as of its time, and the new one without."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.definitions import build_definitions
from forecast_platform.launching.instance import open_lake
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import Settings
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=34)
LAST = pd.Timestamp(RETAILER.last_week)
WEEK = LAST - pd.Timedelta(weeks=1)
CORRECTED = WEEK - pd.Timedelta(weeks=5)
MODELS = ("trained_ensembles", "validation_metrics", "promotion", "forecasts")
OF_THE_RUN = ["run_id", "git_commit", "model_version"]


@dataclass(frozen=True)
class Story:
    """A week forecast, corrected, forecast again; and once more as of before the correction."""

    then: datetime
    first: pd.DataFrame
    again: pd.DataFrame
    as_of: pd.DataFrame
    settings: Settings
    current: dict[str, int | None]
    """Versions of the current tables before the run as of a past time."""


def run(
    settings: Settings, first: pd.Timestamp, last: pd.Timestamp, groups: Sequence[str]
) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings)
    keys = [
        spec.key
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name in groups and spec.partitions_def is not None
    ]
    is_data = set(groups) <= {"raw", "conditioned", "features"}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        return definitions.resolve_job_def(
            "condition_data" if is_data else "weekly_forecast"
        ).execute_in_process(
            instance=instance,
            asset_selection=keys,
            tags={
                "dagster/asset_partition_range_start": f"north|{first:%Y-%m-%d}",
                "dagster/asset_partition_range_end": f"north|{last:%Y-%m-%d}",
            },
            raise_on_error=False,
        )


def restate(landing: Path, week: pd.Timestamp) -> None:
    """Let the customer deliver a week's shipments anew, in a second file: three times as many."""
    [path] = (landing / "shipments" / "north" / f"{week:%Y-%m-%d}").glob("*.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.with_stem(f"{path.stem}_2").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            row | {"units_shipped": str(3 * int(row["units_shipped"]))} for row in rows
        )


def forecasts_of(lake: Lake) -> pd.DataFrame:
    rows = lake.read("forecasts", region="north", weeks=[WEEK])
    return rows.sort_values("forecast_id", ignore_index=True)


MODEL_STAGES = ("training", "validation", "promotion", "forecasting")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    settings = Settings(home=tmp_path_factory.mktemp("as_of"), epochs=1)
    simulate(RETAILER, settings.home / "landing")
    lake = open_lake(settings)
    first_week = pd.Timestamp(RETAILER.first_week)
    assert run(settings, first_week, LAST, ["raw", "conditioned", "features"]).success
    assert run(settings, WEEK, WEEK, MODEL_STAGES).success
    first = forecasts_of(lake)
    time.sleep(0.01)
    then = datetime.now(UTC)
    restate(settings.home / "landing", CORRECTED)
    assert run(settings, CORRECTED, CORRECTED, ["raw", "conditioned"]).success
    assert run(settings, CORRECTED, LAST, ["features"]).success
    assert run(settings, WEEK, WEEK, MODEL_STAGES).success
    again, tables = forecasts_of(lake), sorted(path.name for path in Path(lake.uri).iterdir())
    current = {table: lake.version(table) for table in tables}
    past = settings.model_copy(update={"as_of": then})
    assert run(past, WEEK, WEEK, ["conditioned", "features", *MODEL_STAGES]).success
    return Story(then, first, again, forecasts_of(open_lake(past)), past, current)


def test_without_as_of_the_week_is_forecast_as_corrected(story: Story) -> None:
    assert list(story.again["forecast_id"]) == list(story.first["forecast_id"])
    assert (story.again["y_hat"] != story.first["y_hat"]).mean() > 0.5


def test_as_of_before_the_correction_every_bit_is_as_it_was(story: Story) -> None:
    pd.testing.assert_frame_equal(
        story.as_of.drop(columns=OF_THE_RUN), story.first.drop(columns=OF_THE_RUN), check_exact=True
    )


def test_a_run_as_of_a_past_time_changes_nothing_current(story: Story) -> None:
    now = story.settings.model_copy(update={"as_of": None})

    assert {table: open_lake(now).version(table) for table in story.current} == story.current
    pd.testing.assert_frame_equal(forecasts_of(open_lake(now)), story.again)


def test_the_overlay_has_a_registry_of_its_own(story: Story) -> None:
    overlay = story.settings.home / "as_of"

    assert story.settings.state_home.parent == overlay
    assert (story.settings.state_home / "registry" / "mlflow.db").is_file()
    assert set(story.as_of["model_version"].dropna()) == {1}


def test_what_the_overlay_lacks_is_read_as_it_was(story: Story) -> None:
    past, now = open_lake(story.settings), open_lake(Settings(home=story.settings.home))
    then, corrected = (
        lake.read("fct_weekly_demand", region="north", weeks=[CORRECTED])["units_shipped"].sum()
        for lake in (past, now)
    )

    assert corrected == pytest.approx(3 * then, rel=0.01)
    assert past.weeks_of("fct_weekly_demand", "north") == now.weeks_of("fct_weekly_demand", "north")


def test_delivered_files_are_not_taken_in_as_of_a_past_time(story: Story) -> None:
    result = run(story.settings, WEEK, WEEK, ["raw"])

    assert not result.success
    failure = result.failure_data_for_node("raw_shipments")
    assert "begin with the stage conditioned" in str(failure.error)
