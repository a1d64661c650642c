"""What a new region gets: models that start from those of other regions."""

import pandas as pd
import pytest

from forecast_platform.assets.explanations import forecast_contributions, model_explanations
from forecast_platform.assets.features import demand_features
from forecast_platform.assets.forecasts import forecasts
from forecast_platform.forecasting.models.files import load_model
from forecast_platform.forecasting.models.warm_start import WarmStarted
from forecast_platform.lineage.commits import Commits
from forecast_platform.lineage.depth import Depth
from forecast_platform.lineage.forecast import find_forecast
from forecast_platform.lineage.reproduce import reproduce
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.schemas.explanations import ForecastContributions, ModelExplanations
from forecast_platform.schemas.models import HISTORY_TOO_SHORT, TRAINED
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, WEEKS, World
from forecast_platform_tests.marts import weeks_from, write_marts

SHORT = weeks_from(14, WEEKS[-13])
KEY = RegionWeek("south", SHORT[-1])


@pytest.fixture
def joined(forecast: World) -> World:
    """A region of fourteen weeks beside one that has champions."""
    write_marts(forecast.lake, "south", SHORT, seed=3)
    forecast.make([demand_features], RegionWeek("south", SHORT[0]), KEY)
    return forecast


def test_a_new_region_starts_from_the_champions_of_others_and_says_which(joined: World):
    joined.make(MODEL_ASSETS, KEY)

    rows = joined.rows("trained_ensembles", KEY)
    assert set(rows["status"]) == {TRAINED}
    commit = joined.lake.history("trained_ensembles", 1)[0]
    [donor] = commit["provenance"]["donors"][KEY.key]
    assert donor.startswith("demand-north-")
    assert donor.endswith("/1")
    assert "promotion" in commit["provenance"]["read"]
    row = rows[rows["segment"] == "large_fast"].iloc[0]
    model = load_model(joined.registry.load_files(row["model_name"], int(row["model_version"])))
    assert all(isinstance(member, WarmStarted) for member in model.members.values())
    made = joined.rows("forecasts", KEY)
    assert len(made) == 24 * 4
    assert made["y_hat_p90"].notna().all()


def test_the_start_does_not_depend_on_who_is_trained_first_in_a_week(joined: World):
    """Champions of the week itself lend nothing: they may not be there yet."""
    promotion = joined.lake.read("promotion", region="north")
    joined.lake.write(
        "promotion",
        promotion.assign(region="west", week=KEY.week, cutoff=KEY.week),
        [RegionWeek("west", KEY.week)],
        run_id="test",
    )

    joined.make(MODEL_ASSETS[:1], KEY)

    commit = joined.lake.history("trained_ensembles", 1)[0]
    assert len(commit["provenance"]["donors"][KEY.key]) == 1


def test_switched_off_it_waits_for_a_history_of_its_own(joined: World):
    joined.settings = ModelSettings(epochs=2, warm_start=False)

    joined.make(MODEL_ASSETS[:1], KEY)

    ensembles = joined.rows("trained_ensembles", KEY).query("kind == 'ensemble'")
    assert set(ensembles["status"]) == {HISTORY_TOO_SHORT}


def test_without_champions_elsewhere_it_waits_too(joined: World):
    for name in sorted({str(name) for name in joined.lake.read("promotion")["model_name"]}):
        joined.registry.corrupt(name, 1)

    joined.make(MODEL_ASSETS[:1], KEY)

    ensembles = joined.rows("trained_ensembles", KEY).query("kind == 'ensemble'")
    assert set(ensembles["status"]) == {HISTORY_TOO_SHORT}
    assert isinstance(ensembles["reason"].iloc[0], str)
    assert pd.isna(ensembles["model_version"]).all()


def test_a_forecast_of_a_warm_started_model_is_reproduced_to_the_last_bit(joined: World):
    joined.make(MODEL_ASSETS[:3], KEY)
    promote(joined, "large_fast")
    joined.make([forecasts], KEY)
    commits = Commits(joined.lake)
    row = joined.rows("forecasts", KEY).query("served_by == 'champion'").iloc[0]
    found = find_forecast(joined.lake, commits, row["forecast_id"])

    again = reproduce(found, joined.lake, commits, joined.registry, depth=Depth.FEATURES)

    assert [step.what for step in again.steps][-2:] == [
        "training",
        "forecast of the model trained again",
    ]
    assert again.is_same, again.steps


def test_a_warm_started_model_and_its_forecasts_are_explained(joined: World):
    joined.make(MODEL_ASSETS[:3], KEY)
    promote(joined, "large_fast")
    joined.make([forecasts, model_explanations, forecast_contributions], KEY)

    told = joined.rows("model_explanations", KEY)
    ModelExplanations.validate(told, lazy=True)
    effects = told[told["kind"] != "importance"]
    assert set(effects["model"]) == {"lasso"}
    assert effects["meaning"].str.contains("models of other regions").all()
    rows = joined.rows("forecast_contributions", KEY)
    ForecastContributions.validate(rows, lazy=True)
    champion = rows[rows["served_by"] == "champion"]
    assert (champion["trend"].abs() > 0).any()


def promote(world: World, segment: str) -> None:
    """Let what was trained of a segment serve, whatever the gate has said of it."""
    trained = world.rows("trained_ensembles", KEY).set_index("segment").loc[segment]
    rows = world.rows("promotion", KEY)
    own = rows["segment"] == segment
    rows.loc[own, "champion_version"] = trained["model_version"]
    for name in ("sha256", "artifact_uri", "cutoff"):
        rows.loc[own, name] = trained[name]
    world.lake.write("promotion", rows, [KEY], run_id="test")
