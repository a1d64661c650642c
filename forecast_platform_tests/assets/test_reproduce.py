"""A forecast comes out the same to the last bit, and whatever was tampered with is found."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.promotion import promotion
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.errors import UnknownForecast
from forecast_platform.lineage.commits import Commits
from forecast_platform.lineage.depth import Depth
from forecast_platform.lineage.forecast import Found, find_forecast
from forecast_platform.lineage.reproduce import Reproduction, reproduce
from forecast_platform.lineage.trace import Trace, trace
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform_tests.assets.conftest import REGION, WEEKS, World

KEY = RegionWeek(REGION, WEEKS[-1])
SERIES = "no0/p0"
ID = f"{KEY.key}|{SERIES}|2"
NAME = "demand-north-large-fast"
STEPS = {
    Depth.MODEL: ["model", "forecast of the recorded model"],
    Depth.FEATURES: ["training", "forecast of the model trained again"],
    Depth.MARTS: ["features", "features of the training"],
}


def found(world: World, text: str = ID, **more: datetime) -> tuple[Found, Commits]:
    commits = Commits(world.lake)
    return find_forecast(world.lake, commits, text, **more), commits


def made_again(world: World, depth: Depth = Depth.MARTS, text: str = ID) -> Reproduction:
    forecast, commits = found(world, text)
    return reproduce(forecast, world.lake, commits, world.registry, depth=depth)


def traced(world: World, text: str = ID) -> Trace:
    forecast, commits = found(world, text)
    return trace(forecast, world.lake, commits, world.registry)


def verdicts(result: Reproduction) -> dict[str, bool]:
    return {step.what: step.is_same for step in result.steps}


def tamper(lake: Lake, table: str, week: pd.Timestamp, column: str, factor: float) -> None:
    """Change values of one series in the file of a partition, and what the log says of its size."""
    folder = Path(lake.uri) / table
    [path] = [
        folder / unquote(uri)
        for uri in DeltaTable(str(folder)).file_uris()
        if f"week={week:%Y-%m-%d}" in uri
    ]
    file = pq.ParquetFile(path)
    rows = file.read().to_pandas()
    touched = rows["unique_id"] == SERIES
    changed = rows[column].mask(touched, rows[column] * factor).astype(rows[column].dtype)
    rows = rows.assign(**{column: changed})
    table_of = pa.Table.from_pandas(rows, schema=file.schema_arrow, preserve_index=False)
    pq.write_table(table_of, path)
    for log in (folder / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if unquote(action.get("add", {}).get("path", "")).endswith(path.name):
                action["add"]["size"] = path.stat().st_size
        log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert touched.any()


# the same again


@pytest.mark.parametrize("depth", list(Depth))
def test_a_forecast_is_reproduced_to_the_last_bit(forecast: World, depth: Depth) -> None:
    result = made_again(forecast, depth)

    assert result.is_same, result.steps
    assert set(STEPS[Depth.MODEL]) <= set(verdicts(result))
    assert (set(STEPS[Depth.FEATURES]) <= set(verdicts(result))) is (depth is not Depth.MODEL)
    assert (set(STEPS[Depth.MARTS]) <= set(verdicts(result))) is (depth is Depth.MARTS)
    assert result.notes == []


def test_what_was_committed_since_does_not_matter(forecast: World) -> None:
    for table, column in (("fct_weekly_demand", "y"), ("demand_features", "base_level")):
        for week in WEEKS[-4:]:
            key = RegionWeek(REGION, week)
            rows = forecast.rows(table, key)
            changed = rows.assign(**{column: rows[column] * 2})
            forecast.lake.write(table, changed, [key], run_id="since")

    assert made_again(forecast).is_same


def test_a_champion_of_an_earlier_week_is_trained_again_as_of_its_own(featured: World) -> None:
    before = RegionWeek(REGION, WEEKS[-2])
    featured.make([trained_ensembles, validation_metrics, promotion], before)
    featured.make([forecasts], KEY)

    result = made_again(featured)

    assert result.is_same, result.steps
    assert traced(featured).model.cutoff == before.week


def test_a_model_is_found_in_the_version_that_told_of_it(forecast: World) -> None:
    forecast.settings = ModelSettings(epochs=1)
    forecast.make([trained_ensembles], KEY)

    result = made_again(forecast)

    assert result.is_same, result.steps
    assert traced(forecast).model.trained.settings["epochs"] == 2


def test_a_forecast_is_found_as_it_stood_at_a_time(forecast: World) -> None:
    first, then = found(forecast)[0], datetime.now(UTC)
    forecast.registry.corrupt(NAME, 1)
    forecast.make([forecasts], KEY)

    assert found(forecast)[0].row["served_by"] == "historical_average"
    as_it_stood = found(forecast, as_of=then)[0]
    pd.testing.assert_series_equal(pd.Series(as_it_stood.row), pd.Series(first.row))
    assert as_it_stood.commit == first.commit


# the historical average


def test_an_average_that_served_for_a_corrupt_champion_is_reproduced(forecast: World) -> None:
    forecast.registry.corrupt(NAME, 1)
    forecast.make([forecasts], KEY)

    result = made_again(forecast)

    assert result.is_same, result.steps
    assert traced(forecast).model.row["model_name"] == "demand-north-large-historical_average"


def test_an_average_that_was_made_on_the_spot_is_reproduced(featured: World) -> None:
    featured.make([forecasts], KEY)

    result, chain = made_again(featured), traced(featured)

    assert result.is_same, result.steps
    assert chain.model is None
    assert chain.described()["model"] is None
    assert {"demand_features", "fct_weekly_demand"} <= set(chain.uses)
    assert chain.problems == []


# tampered with


def test_a_tampered_model_is_found(forecast: World) -> None:
    forecast.registry.corrupt(NAME, 1)

    result, chain = made_again(forecast), traced(forecast)

    assert not result.is_same
    assert verdicts(result)["model"] is False
    assert verdicts(result)["training"] is True
    assert "SHA-256" in chain.problems[0]
    assert chain.described()["model"]["files_are_as_registered"] is False


def test_tampered_features_of_the_week_are_found(forecast: World) -> None:
    tamper(forecast.lake, "demand_features", KEY.week, "base_level", 1.001)

    result = verdicts(made_again(forecast))

    assert result["forecast of the recorded model"] is False
    assert result["features"] is False
    assert result["training"] is True
    assert result["forecast of the model trained again"] is True


def test_tampered_features_of_the_training_are_found(forecast: World) -> None:
    tamper(forecast.lake, "demand_features", WEEKS[-6], "base_level", 1.001)

    from_marts = verdicts(made_again(forecast))
    from_features = verdicts(made_again(forecast, Depth.FEATURES))

    assert from_marts["features of the training"] is False
    assert from_marts["training"] is True
    assert from_features["forecast of the recorded model"] is True
    assert from_features["training"] is False


def test_tampered_demand_is_found(forecast: World) -> None:
    tamper(forecast.lake, "fct_weekly_demand", WEEKS[-3], "y", 2.0)

    result = verdicts(made_again(forecast))

    assert result["forecast of the recorded model"] is True
    assert result["features"] is False
    assert result["training"] is False


def test_a_tampered_forecast_is_found(forecast: World) -> None:
    tamper(forecast.lake, "forecasts", KEY.week, "y_hat", 1.0000001)

    result = made_again(forecast)

    assert verdicts(result)["forecast of the recorded model"] is False
    assert "recorded" in result.steps[1].detail


def test_a_tampered_forecast_beside_it_is_found(forecast: World) -> None:
    tamper(forecast.lake, "forecasts", KEY.week, "y_hat", 1.0000001)

    result = made_again(forecast, Depth.MODEL, f"{KEY.key}|no1/p0|1")

    assert "it is the same, but 4 of" in result.steps[1].detail
    assert not result.is_same


def test_a_vacuumed_version_is_named(forecast: World) -> None:
    shutil.rmtree(Path(forecast.lake.uri) / "demand_features" / f"region={REGION}")

    result = made_again(forecast, Depth.FEATURES)

    assert verdicts(result)["forecast of the recorded model"] is False
    assert "can no longer be read, its files were vacuumed" in result.steps[1].detail


def test_other_code_and_libraries_are_noted(
    forecast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"machine": "abacus", "python": "3.11.0", "numpy": "0.1"}
    monkeypatch.setattr("forecast_platform.lineage.reproduce.environment", lambda: here)
    forecast.lake = Lake(uri=forecast.lake.uri, git_commit="def")

    notes = made_again(forecast).notes

    assert "forecasts: the code here is def, it was made by abc" in notes
    assert any(note.startswith("trained_ensembles: numpy is 0.1 here, it was") for note in notes)
    assert any(note.startswith("demand_features: machine is abacus here") for note in notes)


# ids that are none


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("north", "no forecast id: they look like <region>", id="not an id"),
        pytest.param("north|2024-03-05|s/p|1", "is a Tuesday", id="not a Monday"),
        pytest.param("nowhere|2024-03-04|s/p|1", "no forecast of 'nowhere'", id="region"),
        pytest.param("north|2020-01-06|s/p|1", f"near it: {KEY.week:%Y-%m-%d}", id="week"),
        pytest.param(f"{KEY.key}|no0/p9|1", "the nearest: no0/p", id="series"),
        pytest.param(f"{KEY.key}|no0/p0|9", "for 1 to 4 weeks ahead, not 9", id="weeks ahead"),
    ],
)
def test_an_unknown_id_is_answered_by_the_nearest(forecast: World, text: str, says: str) -> None:
    with pytest.raises(UnknownForecast) as error:
        found(forecast, text)

    assert says in str(error.value)
