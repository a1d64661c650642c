"""Explanations as tables, and of one forecast by its id."""

import json

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.explanations import forecast_contributions, model_explanations
from forecast_platform.assets.features import demand_features
from forecast_platform.assets.forecasts import forecasts
from forecast_platform.errors import TableMissing
from forecast_platform.lineage.commits import Commits
from forecast_platform.lineage.explain import Explanation, explain
from forecast_platform.lineage.forecast import find_forecast
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.explaining import contributions_at
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.explanations import ForecastContributions, ModelExplanations
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World

BEFORE = RegionWeek(REGION, WEEKS[-2])
KEY = RegionWeek(REGION, WEEKS[-1])


def explained(world: World, h: int, unique_id: str, *, before: bool = True) -> Explanation:
    commits = Commits(world.lake)
    found = find_forecast(world.lake, commits, f"{KEY.key}|{unique_id}|{h}")
    earlier = None
    if before:
        earlier = find_forecast(world.lake, commits, f"{BEFORE.key}|{unique_id}|{h + 1}")
    return explain(found, earlier, world.lake, world.registry)


def test_every_forecast_is_taken_apart_and_adds_up(forecast: World):
    forecast.make([model_explanations, forecast_contributions], KEY)

    rows = forecast.rows("forecast_contributions", KEY)
    ForecastContributions.validate(rows, lazy=True)
    made = forecast.rows("forecasts", KEY).set_index("forecast_id")
    assert set(rows["forecast_id"]) == set(made.index)
    assert (rows["y_hat"] == made.loc[rows["forecast_id"], "y_hat"].to_numpy()).all()
    average = rows[rows["served_by"] != "champion"]
    champion = rows[rows["served_by"] == "champion"]
    assert (average["base"] == average["y_hat"]).all()
    assert (champion["trend"].abs() > 0).any()

    told = forecast.rows("model_explanations", KEY)
    ModelExplanations.validate(told, lazy=True)
    assert told["segment"].nunique() == 4
    importance = told[told["kind"] == "importance"]
    assert set(importance["model"]) == {"lasso", "embedding_net", "ensemble"}
    assert set(told.loc[told["kind"] != "importance", "model"]) == {"lasso"}


def test_of_a_large_region_the_largest_forecasts_are_taken_apart(forecast: World):
    made = forecast.rows("forecasts", KEY)

    rows = contributions_at(KEY, Snapshot(forecast.lake), forecast.registry, limit=10)

    assert set(rows["forecast_id"]) == set(made.nlargest(10, "y_hat")["forecast_id"])


def test_a_week_without_models_has_no_explanations_of_them(featured: World):
    early = RegionWeek(REGION, WEEKS[9])

    result = featured.make([*MODEL_ASSETS, model_explanations, forecast_contributions], early)

    assert result.success
    assert featured.rows("model_explanations", early).empty
    rows = featured.rows("forecast_contributions", early)
    assert (rows["base"] == rows["y_hat"]).all()


def test_the_difference_to_last_weeks_forecast_has_reasons_that_add_up(featured: World):
    featured.make(MODEL_ASSETS, BEFORE, KEY)
    rows = featured.rows("forecasts", KEY)
    served = rows[(rows["served_by"] == "champion") & (rows["h"] == 2)]
    n_compared = 0
    for row in served.head(6).itertuples():
        result = explained(featured, 2, str(row.unique_id))
        assert sum(result.parts.values()) == pytest.approx(row.y_hat, rel=1e-9)
        was = float(result.before.row["y_hat"])
        assert sum(result.reasons.values()) == pytest.approx(row.y_hat - was, rel=1e-9, abs=1e-9)
        n_compared += len(result.reasons) > 1
    assert n_compared
    assert result.described()["before"]["forecast_id"].startswith(BEFORE.key)


def test_an_event_that_became_known_is_a_reason(featured: World):
    """The calendar of the last week gets a holiday that last week's did not have."""
    featured.make(MODEL_ASSETS, BEFORE)
    events = featured.rows("fct_weekly_events", KEY)
    is_new = events["h"] == 1
    changed = events.assign(
        event=events["event"].where(~is_new, "holiday"),
        n_event_days=events["n_event_days"].where(~is_new, 1),
        is_holiday=events["is_holiday"] | is_new,
    )
    featured.lake.write("fct_weekly_events", changed, [KEY], run_id="test")
    featured.make([demand_features, *MODEL_ASSETS], KEY)
    rows = featured.rows("forecasts", KEY)
    one = rows[(rows["served_by"] == "champion") & (rows["h"] == 1)].iloc[0]

    result = explained(featured, 1, str(one["unique_id"]))

    assert result.moved["event"] == ("none", "holiday")
    assert result.reasons["events"] != 0


def test_a_failover_is_the_reason_where_another_kind_of_model_served(forecast: World):
    forecast.make([forecasts], BEFORE)  # nobody was promoted yet: the average serves
    rows = forecast.rows("forecasts", KEY)
    one = rows[(rows["served_by"] == "champion") & (rows["h"] == 1)].iloc[0]

    result = explained(forecast, 1, str(one["unique_id"]))

    assert list(result.reasons) == ["server"]
    assert result.remarks == ["last week the historical average served, now the champion"]
    was = float(result.before.row["y_hat"])
    assert result.reasons["server"] == pytest.approx(one["y_hat"] - was)


def test_a_forecast_of_another_model_than_the_manifests_is_not_explained_by_it(forecast: World):
    manifest = forecast.rows("promotion", KEY)
    forecast.lake.write("promotion", manifest.assign(champion_version=7), [KEY], run_id="test")

    with pytest.raises(TableMissing, match="names it any more: materialize forecasts"):
        contributions_at(KEY, Snapshot(forecast.lake), forecast.registry)


def test_features_that_were_made_anew_without_the_row_are_told(forecast: World):
    features = forecast.rows("demand_features", KEY)
    forecast.lake.write("demand_features", features[features["h"] < 4], [KEY], run_id="test")

    with pytest.raises(TableMissing, match="no longer has the rows"):
        contributions_at(KEY, Snapshot(forecast.lake), forecast.registry)


def test_explanations_are_the_same_when_made_again(forecast: World):
    forecast.make([model_explanations, forecast_contributions], KEY)
    order = {
        "model_explanations": ["segment", "model", "kind", "feature"],
        "forecast_contributions": ["forecast_id"],
    }

    def read(name: str) -> pd.DataFrame:
        return forecast.rows(name, KEY).sort_values(order[name], ignore_index=True)

    first = {name: read(name) for name in order}

    forecast.make([model_explanations, forecast_contributions], KEY)

    for name, before in first.items():
        pd.testing.assert_frame_equal(read(name), before)
    assert np.isfinite(first["model_explanations"]["value"]).all()


def test_the_command_prints_a_sum_and_the_reasons(featured: World, monkeypatch: pytest.MonkeyPatch):
    from typer.testing import CliRunner

    from forecast_platform.cli.app import app

    featured.make(MODEL_ASSETS, BEFORE, KEY)
    opened = (featured.lake, featured.registry)
    monkeypatch.setattr("forecast_platform.cli.explain.open_current", lambda: opened)
    rows = featured.rows("forecasts", KEY)
    one = rows[(rows["served_by"] == "champion") & (rows["h"] == 1)].iloc[0]
    last = rows[rows["h"] == 4].iloc[0]

    shown = CliRunner().invoke(app, ["forecast", "explain", one["forecast_id"]])
    plain = CliRunner().invoke(app, ["forecast", "explain", one["forecast_id"], "--json"])
    alone = CliRunner().invoke(app, ["forecast", "explain", last["forecast_id"]])
    wrong = CliRunner().invoke(app, ["forecast", "explain", "north"])

    assert (shown.exit_code, plain.exit_code, alone.exit_code) == (0, 0, 0)
    was = float(json.loads(plain.stdout)["before"]["y_hat"])
    assert f"a difference of {one['y_hat'] - was:+,.2f}" in shown.stdout
    assert f"{one['y_hat']:,.2f}" in shown.stdout
    assert "failover" not in shown.stdout  # the champion served: nobody stood in
    told = json.loads(plain.stdout)
    assert sum(told["parts"].values()) == pytest.approx(one["y_hat"])
    assert sum(told["reasons"].values()) == pytest.approx(one["y_hat"] - was)
    assert "no forecast of" in alone.stderr
    assert "The last week ahead has none" in alone.stderr
    assert wrong.exit_code == 2
    assert "is no forecast id" in wrong.stderr
