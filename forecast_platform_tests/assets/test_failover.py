"""Each step of the failover taken away in turn: a region-week always gets a forecast."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.checks.failover import champions_serve
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.files import load_model, to_files
from forecast_platform.lineage.commits import Commits
from forecast_platform.lineage.depth import Depth
from forecast_platform.lineage.forecast import find_forecast
from forecast_platform.lineage.reproduce import reproduce
from forecast_platform.lineage.trace import trace
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.model_copies import ModelCopies
from forecast_platform.resources.registry import Candidate
from forecast_platform.schemas.forecasts import Forecasts
from forecast_platform.schemas.lifecycle import FailoverState
from forecast_platform.vocabulary import EMBEDDING_NET, LASSO
from forecast_platform_tests.assets.conftest import REGION, WEEKS, World
from forecast_platform_tests.assets.test_model_checks import evaluate

BEFORE = RegionWeek(REGION, WEEKS[-2])
KEY = RegionWeek(REGION, WEEKS[-1])
NAME = "demand-north-large-fast"
SEGMENT = "large_fast"
CHAMPION, FORMER = 1, 2
Break = Callable[[World, int], None]


@pytest.fixture
def world(forecast: World, tmp_path: Path) -> World:
    """Two champions, the former one of the week before, and the forecasts that it made."""
    model = load_model(forecast.registry.load_files(NAME, CHAMPION))
    model.weights = {LASSO: 1.0, EMBEDDING_NET: 0.0}
    [former] = forecast.registry.log_region_week(
        REGION,
        BEFORE.week,
        [Candidate(name=NAME, files=to_files(model), alias="challenger")],
        metrics={},
        params={},
        tags={},
    )
    row = forecast.rows("promotion", KEY).query("model_name == @NAME")
    served = {name: getattr(former, name) for name in ("sha256", "artifact_uri", "cutoff")}
    row = row.assign(week=BEFORE.week, champion_version=former.version, **served)
    forecast.lake.write("promotion", row, [BEFORE], run_id="test")
    forecast.make([forecasts], BEFORE)
    forecast.registry.copies = ModelCopies(str(tmp_path / "copies"))
    return forecast


def remove(world: World, version: int) -> None:
    world.registry.remove(NAME, version)


def corrupt(world: World, version: int) -> None:
    world.registry.corrupt(NAME, version)


def age(world: World, version: int) -> None:
    """Let a model's cutoff lie further back than the limit; the former champion's even more."""
    for key in (BEFORE, KEY):
        rows = world.rows("promotion", key)
        own = (rows["model_name"] == NAME) & (rows["champion_version"] == version)
        rows.loc[own, "cutoff"] = WEEKS[-1] - pd.Timedelta(days=200 + version)
        world.lake.write("promotion", rows, [key], run_id="test")


def served(world: World) -> pd.DataFrame:
    result = world.make([forecasts], KEY)
    assert result.success
    rows = world.rows("forecasts", KEY)
    Forecasts.validate(rows, lazy=True)
    return rows[rows["segment"] == SEGMENT]


def state(world: World, key: RegionWeek = KEY) -> pd.Series:
    rows = world.rows("failover_state", key)
    FailoverState.validate(rows)
    return rows.set_index("segment").loc[SEGMENT]


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        pytest.param(remove, "files are gone", id="removed"),
        pytest.param(corrupt, "SHA-256", id="corrupt"),
    ],
)
def test_the_former_champion_serves_when_the_champion_is_lost(
    world: World, breaks: Break, told: str
):
    breaks(world, CHAMPION)

    rows = served(world)

    features = world.rows("demand_features", KEY).query("segment == @SEGMENT")
    former = load_model(world.registry.load_files(NAME, FORMER))
    made = rows.set_index(["unique_id", "h"])["y_hat"]
    asked = features.set_index(["unique_id", "h"]).index
    np.testing.assert_array_equal(made.reindex(asked), former.predict(features))
    assert set(rows["served_by"]) == {"previous_champion"}
    assert set(rows["model_version"]) == {FORMER}
    assert rows["failover_reason"].str.startswith("champion: ").all()
    assert rows["failover_reason"].str.contains(told).all()
    assert state(world)["state"] == "previous_champion"


def test_the_last_good_forecast_is_carried_forward_when_both_champions_are_lost(world: World):
    corrupt(world, CHAMPION)
    remove(world, FORMER)

    rows = served(world)

    earlier = world.rows("forecasts", BEFORE).set_index(["unique_id", "ds"])
    known = rows[rows["h"] < 4].set_index(["unique_id", "ds"])
    assert set(rows["served_by"]) == {"carried_forward"}
    pd.testing.assert_series_equal(known["y_hat"], earlier["y_hat"].reindex(known.index))
    beyond = rows[rows["h"] == 4].set_index("unique_id")["y_hat"]
    last = earlier[earlier["h"] == 4].reset_index("ds")["y_hat"].reindex(beyond.index)
    pd.testing.assert_series_equal(beyond, last)
    assert set(rows["cutoff"]) == {BEFORE.week}
    reason = rows["failover_reason"].iloc[0]
    assert "champion: " in reason
    assert "previous champion: " in reason
    assert f"the forecast of {BEFORE.week:%Y-%m-%d} is carried forward" in reason


def test_a_series_that_the_earlier_forecast_lacks_gets_the_average(world: World):
    corrupt(world, CHAMPION)
    remove(world, FORMER)
    earlier = world.rows("forecasts", BEFORE)
    lost = earlier[earlier["segment"] == SEGMENT]["unique_id"].iloc[0]
    kept = earlier[earlier["unique_id"] != lost]
    world.lake.write("forecasts", kept, [BEFORE], run_id="test")

    rows = served(world).set_index("unique_id")

    assert set(rows.loc[[lost], "served_by"]) == {"historical_average"}
    assert (rows.loc[[lost], "y_hat"] == rows.loc[[lost], "historical_average"]).all()
    assert set(rows.drop(index=lost)["served_by"]) == {"carried_forward"}


@pytest.mark.parametrize("reason", ["too-old", "none"])
def test_the_average_serves_when_there_is_no_recent_forecast_either(world: World, reason: str):
    remove(world, CHAMPION)
    corrupt(world, FORMER)
    earlier = world.rows("forecasts", BEFORE)
    weeks = pd.Timedelta(weeks=4)
    if reason == "too-old":
        old = RegionWeek(REGION, KEY.week - weeks)
        moved = earlier.assign(week=old.week, ds=earlier["ds"] - weeks + pd.Timedelta(weeks=1))
        world.lake.write("forecasts", moved, [old], run_id="test")
    world.lake.write("forecasts", earlier[earlier["segment"] != SEGMENT], [BEFORE], run_id="test")

    rows = served(world)

    assert set(rows["served_by"]) == {"historical_average"}
    assert (rows["y_hat"] == rows["historical_average"]).all()
    assert "forecast nothing in the last 3 weeks" in rows["failover_reason"].iloc[0]
    assert state(world)["state"] == "historical_average"


def test_models_beyond_the_age_limit_do_not_serve_nor_does_what_they_forecast(world: World):
    age(world, CHAMPION)
    age(world, FORMER)
    earlier = world.rows("forecasts", BEFORE)
    old = earlier.assign(cutoff=WEEKS[-1] - pd.Timedelta(days=202))
    world.lake.write("forecasts", old, [BEFORE], run_id="test")

    rows = served(world)

    assert set(rows["served_by"]) == {"historical_average"}
    reason = rows["failover_reason"].iloc[0]
    assert "champion: its training cutoff is 201 days back, more than 120" in reason
    assert "previous champion: its training cutoff is 202 days back" in reason
    assert "carried forward: its training cutoff is 202 days back" in reason


@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        pytest.param(np.nan, "not finite", id="nan"),
        pytest.param(np.inf, "not finite", id="infinite"),
        pytest.param(1e6, "5 times the largest of recent weeks", id="far-too-much"),
        pytest.param(0.0, "0.1 of the smallest of recent weeks", id="nothing-at-all"),
    ],
)
def test_a_champion_that_talks_nonsense_is_not_believed_and_the_former_one_is(
    world: World, monkeypatch: pytest.MonkeyPatch, nonsense: float, told: str
):
    combine = Ensemble.combine

    def rave(self: Ensemble, members: pd.DataFrame) -> np.ndarray:
        made = combine(self, members)
        return made if self.weights_[LASSO] == 1 else np.full(len(made), nonsense)

    monkeypatch.setattr(Ensemble, "combine", rave)

    rows = served(world)

    assert set(rows["served_by"]) == {"previous_champion"}
    assert told in rows["failover_reason"].iloc[0]


def test_a_model_that_breaks_in_any_way_costs_nobody_the_forecast(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    def crash(self: Ensemble, rows: pd.DataFrame) -> pd.DataFrame:
        raise ZeroDivisionError("deep within")

    monkeypatch.setattr(Ensemble, "predict_members", crash)

    rows = served(world)

    assert set(rows["served_by"]) == {"carried_forward"}
    assert "champion: ZeroDivisionError: deep within" in rows["failover_reason"].iloc[0]


def test_the_verified_local_copy_serves_while_the_store_is_out_of_reach(world: World):
    good = served(world)
    world.registry.is_down = True

    rows = served(world)

    pd.testing.assert_series_equal(rows["y_hat"], good["y_hat"])
    assert set(rows["served_by"]) == {"champion"}
    assert rows["failover_reason"].isna().all()
    found = state(world)
    assert found["state"] == "local_copy"
    assert "cannot be reached" in found["reason"]


def test_a_local_copy_that_was_changed_is_not_believed(world: World):
    good = served(world)
    world.registry.is_down = True
    folder = Path(world.registry.copies.folder) / NAME
    for file in folder.glob("*/model.json"):
        file.write_bytes(file.read_bytes().replace(b"0", b"1", 1))

    rows = served(world)

    assert not rows["y_hat"].equals(good["y_hat"])
    assert set(rows["served_by"]) == {"carried_forward"}
    assert (
        "the local copy of demand-north-large-fast does not match"
        in (rows["failover_reason"].iloc[0])
    )


def test_the_state_says_since_when_and_recovers_by_itself(world: World):
    files = dict(world.registry._files)
    remove(world, CHAMPION)
    served(world)
    assert state(world)["state_before"] == "champion"
    assert state(world)["since"] == KEY.week

    found = evaluate(world, [champions_serve])["champions_serve"]
    assert not found.passed
    assert not found.blocking
    assert "large_fast: previous champion serves since" in found.description

    world.registry._files = files
    rows = served(world)

    assert set(rows["served_by"]) == {"champion"}
    assert state(world)["state"] == "champion"
    assert state(world)["since"] == BEFORE.week
    assert evaluate(world, [champions_serve])["champions_serve"].passed


def test_a_segment_that_never_had_a_champion_is_no_failover(featured: World):
    featured.make([forecasts], KEY)

    assert set(featured.rows("failover_state", KEY)["state"]) == {"no_champion"}
    assert evaluate(featured, [champions_serve])["champions_serve"].passed


@pytest.mark.parametrize("lost", [1, 2], ids=["by-the-former-champion", "carried-forward"])
def test_a_forecast_of_a_failover_is_traced_and_reproduced(world: World, lost: int):
    """Also after all is repaired: what was recorded is made again, not what would serve today."""
    files = dict(world.registry._files)
    corrupted = dict(files)
    for version in (CHAMPION, FORMER)[:lost]:
        remove(world, version)
    rows = served(world)
    assert set(rows["served_by"]) == {("previous_champion", "carried_forward")[lost - 1]}
    world.registry._files = files
    assert corrupted

    commits = Commits(world.lake)
    found = find_forecast(world.lake, commits, rows["forecast_id"].iloc[0])
    traced = trace(found, world.lake, commits, world.registry)
    again = reproduce(found, world.lake, commits, world.registry, depth=Depth.MODEL)

    assert traced.model is not None
    assert traced.model.row["champion_version"] == FORMER
    assert again.is_same, again.steps
