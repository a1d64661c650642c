"""A third member by one line of configuration, through the assets."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.errors import BadMember
from forecast_platform.forecasting.evaluation.metrics import mape
from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.files import load_model
from forecast_platform.forecasting.models.pyfunc import _load_pyfunc
from forecast_platform.forecasting.training import TrainingConfig, train_region
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.export import export_region
from forecast_platform.resources.members import _imported, member_families
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.schemas.forecasts import Forecasts
from forecast_platform.schemas.metrics import HoldoutForecasts, ValidationMetrics
from forecast_platform.schemas.models import TrainedEnsembles
from forecast_platform.settings import PROJECT_ROOT, get_settings
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World
from forecast_platform_tests.oracles.backtest import a_demand, a_frame

KEY = RegionWeek(REGION, WEEKS[-1])
NAME = "demand-north-large-fast"
EXAMPLE = PROJECT_ROOT / "examples" / "lightgbm_member"
VARIABLE = "FORECAST_PLATFORM_MEMBERS"


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Members are configured by the environment, which a process reads once."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield monkeypatch
    monkeypatch.undo()
    get_settings.cache_clear()
    _imported.cache_clear()


def use(configure: pytest.MonkeyPatch, members: dict[str, str | None]) -> list[str]:
    configure.setenv(VARIABLE, json.dumps(members))
    get_settings.cache_clear()
    return list(get_settings().member_paths)


@pytest.fixture
def three(featured: World, configure: pytest.MonkeyPatch) -> World:
    names = use(configure, {"lightgbm": "lightgbm_member:LightGBMForecaster"})
    featured.settings = ModelSettings(epochs=2, members=names)
    featured.make(MODEL_ASSETS, KEY)
    return featured


def test_lightgbm_is_trained_weighed_scored_and_served_by_one_line(
    three: World, configure: pytest.MonkeyPatch
):
    trained = three.rows("trained_ensembles", KEY)
    TrainedEnsembles.validate(trained, lazy=True)
    ensembles = trained[trained["kind"] == "ensemble"]
    others = pd.DataFrame([json.loads(text) for text in ensembles["other_weights"]])
    assert list(others) == ["lightgbm"]
    assert others["lightgbm"].between(0, 1).all(), "how much is for the held-out weeks to say"
    built_in = ensembles["weight_lasso"] + ensembles["weight_embedding_net"]
    np.testing.assert_allclose(built_in.to_numpy() + others["lightgbm"], 1)

    holdout = three.rows("holdout_forecasts", KEY)
    HoldoutForecasts.validate(holdout, lazy=True)
    metrics = three.rows("validation_metrics", KEY)
    ValidationMetrics.validate(metrics, lazy=True)
    members = {"ensemble", "lasso", "embedding_net", "lightgbm", "historical_average"}
    assert set(metrics["model"]) == members
    scored = metrics[(metrics["segment"] == "all") & (metrics["model"] == "lightgbm")]
    told = [json.loads(text)["lightgbm"] for text in holdout["other_members"]]
    sold = holdout["y"].to_numpy()
    error = np.abs(np.array(told) - sold)[sold > 0] / sold[sold > 0]
    assert scored["mape"].iloc[0] == pytest.approx(error.mean())

    served = three.rows("forecasts", KEY)
    Forecasts.validate(served, lazy=True)
    champion = served[served["served_by"] == "champion"].iloc[0]
    weights = trained.set_index("segment").loc[champion["segment"]]
    blended = (
        weights["weight_lasso"] * champion["lasso"]
        + weights["weight_embedding_net"] * champion["embedding_net"]
        + json.loads(weights["other_weights"])["lightgbm"]
        * json.loads(champion["other_members"])["lightgbm"]
    )
    assert champion["y_hat"] == pytest.approx(blended)

    # a member that is no longer configured is not imported because a file names it
    use(configure, {})
    files = three.registry.load_files(NAME, 1)
    with pytest.raises(CorruptModelFiles, match="unknown members: lightgbm"):
        load_model(files, member_families())
    three.make([forecasts], KEY)
    rows = three.rows("forecasts", KEY)
    assert set(rows["served_by"]) == {"historical_average"}
    fast = rows[rows["segment"] == champion["segment"]]
    assert fast["failover_reason"].str.contains("unknown members: lightgbm").all()


def test_trees_earn_weight_where_two_features_work_against_each_other(
    configure: pytest.MonkeyPatch,
):
    """Neither says anything alone: the LASSO is blind to it, and for a net it takes long."""
    use(configure, {"lightgbm": "lightgbm_member:LightGBMForecaster"})
    demand = a_demand(4, 6, 40)
    frame = a_frame(demand)
    same_sign = frame["temperature"] * frame["snow"] > 0
    frame["y"] = np.round((1 + frame["y"]) * np.where(same_sign, 8.0, 2.0))
    frame["base_level"] += np.float32(np.log(4.0))
    config = TrainingConfig(
        numeric=("lag_0", "discount", "temperature", "snow"),
        categorical=("product_id",),
        families=member_families(),
    )

    models = train_region(frame, demand, cutoff=demand["ds"].max(), config=config)

    told = {name: model.weights_["lightgbm"] for name, model in models.ensembles.items()}
    assert len(told) == 4
    assert min(told.values()) > 1 / 3, told
    held_out = models.holdout[models.holdout["y"] > 0]
    without = held_out[["lasso", "embedding_net"]].mean(axis=1)
    assert mape(held_out["y"], held_out["ensemble"]) < 0.95 * mape(held_out["y"], without)


@pytest.mark.slow
def test_an_exported_region_with_a_further_member_is_served_where_nothing_is_configured(
    three: World, configure: pytest.MonkeyPatch, tmp_path: Path
):
    """As MLflow's server reads it: from the folder alone, with code that lies in it."""
    export_region(REGION, three.lake, three.registry, tmp_path / "model")
    batch = three.rows("forecasts", KEY)
    use(configure, {})
    features = three.rows("demand_features", KEY)

    served = _load_pyfunc(str(tmp_path / "model" / "data"))
    made = served.predict(features)

    assert (tmp_path / "model" / "code" / "lightgbm_member.py").exists()
    keys = ["unique_id", "h"]
    told = features[keys].join(made).merge(batch, on=keys, suffixes=("", "_batch"))
    told = told[told["served_by"] == "champion"]
    assert told["other_members"].str.contains("lightgbm").any()
    np.testing.assert_allclose(told["y_hat"], told["y_hat_batch"], rtol=1e-6)


def test_a_built_in_member_can_be_left_out(featured: World, configure: pytest.MonkeyPatch):
    names = use(configure, {"embedding_net": None})
    featured.settings = ModelSettings(members=names)

    featured.make(MODEL_ASSETS, KEY)

    trained = featured.rows("trained_ensembles", KEY)
    ensembles = trained[trained["kind"] == "ensemble"]
    assert (ensembles["weight_lasso"] == 1).all()
    assert ensembles["weight_embedding_net"].isna().all()
    models = set(featured.rows("validation_metrics", KEY)["model"])
    assert models == {"ensemble", "lasso", "historical_average"}
    rows = featured.rows("forecasts", KEY)
    Forecasts.validate(rows, lazy=True)
    served = rows[rows["served_by"] == "champion"]
    assert len(served)
    np.testing.assert_allclose(served["y_hat"], served["lasso"])


@pytest.mark.parametrize(
    ("path", "told"),
    [
        pytest.param("no_such_module:X", "no_such_module cannot be imported", id="module"),
        pytest.param("lightgbm_member:Booster", "it has .*LightGBMForecaster", id="class"),
        pytest.param("pandas:DataFrame", "lacks .*fit.*to_state", id="methods"),
        pytest.param("pandas:concat", "must be a class", id="function"),
    ],
)
def test_a_member_that_cannot_be_used_is_told_what_is_wrong(
    path: str, told: str, configure: pytest.MonkeyPatch
):
    use(configure, {"mine": path})

    with pytest.raises(BadMember, match=told):
        member_families()


def test_a_name_that_is_not_configured_is_refused_with_those_that_are():
    with pytest.raises(BadMember, match="no member is named gbm; configured are lasso, embed"):
        member_families(["gbm"])


def test_the_example_says_the_line_that_is_tested():
    [line] = [
        line
        for line in Path(EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
        if VARIABLE in line
    ]

    assert "'" + json.dumps({"lightgbm": "lightgbm_member:LightGBMForecaster"}) + "'" in line


def test_an_older_table_without_the_column_is_scored(forecast: World):
    from forecast_platform.resources.members import with_members_apart

    holdout = forecast.rows("holdout_forecasts", KEY).drop(columns="other_members")

    apart, members = with_members_apart(holdout)

    assert members == ("lasso", "embedding_net")
    pd.testing.assert_frame_equal(apart, holdout)
