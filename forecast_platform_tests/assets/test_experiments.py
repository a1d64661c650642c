"""Two models that serve a region side by side: who serves what, what is known, and what fails."""

import json

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from forecast_platform.assets.experiments import experiment_results
from forecast_platform.assets.explanations import forecast_contributions
from forecast_platform.assets.forecasts import forecasts
from forecast_platform.automation.experiments import start_experiment, stop_experiment
from forecast_platform.checks.contracts import monitoring_contract_checks
from forecast_platform.errors import ExperimentRefused, RegistryUnavailable
from forecast_platform.forecasting.explanation.contributions import PARTS
from forecast_platform.forecasting.models.files import load_model
from forecast_platform.lineage.commits import Commits
from forecast_platform.lineage.depth import Depth
from forecast_platform.lineage.explain import explain
from forecast_platform.lineage.forecast import find_forecast
from forecast_platform.lineage.reproduce import reproduce
from forecast_platform.lineage.trace import trace
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.experiments import control
from forecast_platform.resources.experiments.book import experiments_of, history_of, record
from forecast_platform.resources.experiments.control import Start, start, stop
from forecast_platform.resources.experiments.promoting import stop_and_promote
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.resources.watching import Past, score_week
from forecast_platform.schemas.experiments import (
    Design,
    ExperimentResults,
    Experiments,
    State,
)
from forecast_platform.schemas.explanations import ForecastContributions
from forecast_platform.schemas.forecasts import Forecasts
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World

BEFORE = RegionWeek(REGION, WEEKS[-6])
KEY = RegionWeek(REGION, WEEKS[-1])
SEGMENT = "large_fast"
NAME = "demand-north-large-fast"


def order(name: str = "trial", **fields) -> Start:
    given = {
        "region": REGION,
        "name": name,
        "b": f"{SEGMENT}=1",
        "segments": [SEGMENT],
        "who": "ann",
        "why": "to know",
        "decided_at": "2024-03-11T06:00:00.000000+00:00",
        "run_id": "test",
    }
    return Start(**(given | fields))


@pytest.fixture(scope="module")
def _two_versions(_featured: World, tmp_path_factory) -> World:
    """Two versions of each model: of an earlier week, and the champion of the last one."""
    import copy
    import shutil

    from forecast_platform.resources.lake import Lake

    folder = tmp_path_factory.mktemp("two") / "lake"
    shutil.copytree(_featured.lake.uri, folder)
    world = World(
        Lake(uri=str(folder), git_commit="abc"),
        copy.deepcopy(_featured.registry),
        _featured.settings,
        _featured.instance,
    )
    for key in (BEFORE, KEY):
        world.make(MODEL_ASSETS, key)
    return world


@pytest.fixture
def world(_two_versions: World, _copy_world) -> World:
    return _copy_world(_two_versions)


def begun(world: World, **fields) -> World:
    """Start an experiment at the last week, and forecast it again."""
    start(order(**({"first_week": KEY.week} | fields)), world.lake, world.registry)
    world.make([forecasts], KEY)
    return world


def rows_of(world: World, key: RegionWeek = KEY, segment: str = SEGMENT) -> pd.DataFrame:
    rows = world.rows("forecasts", key)
    return rows[rows["segment"] == segment].sort_values(["unique_id", "h"])


def champion_version(world: World) -> int:
    return int(world.registry.champion(NAME).version)


def test_each_arm_serves_its_own_rows_and_both_are_kept(world: World):
    champion = champion_version(world)
    other = 1 if champion == 2 else 2
    plain = rows_of(world)

    begun(world, b=f"{SEGMENT}={other}", design=Design.INTERLEAVED)

    rows = rows_of(world)
    Forecasts.validate(world.rows("forecasts", KEY), lazy=True)
    features = world.rows("demand_features", KEY)
    features = features[features["segment"] == SEGMENT].sort_values(["unique_id", "h"])
    model = load_model(world.registry.load_files(NAME, other))
    is_b = (rows["arm"] == "B").to_numpy()
    np.testing.assert_array_equal(rows["forecast_a"], plain["y_hat"])
    np.testing.assert_allclose(rows["forecast_b"], model.predict(features), rtol=1e-6)
    np.testing.assert_array_equal(
        rows["y_hat"], np.where(is_b, rows["forecast_b"], rows["forecast_a"])
    )
    assert 0 < is_b.sum() < len(rows)
    assert set(rows.loc[is_b, "model_version"]) == {other}
    assert set(rows.loc[~is_b, "model_version"]) == {champion}
    assert set(rows.loc[is_b, "served_by"]) == {"experiment"}
    assert set(rows["experiment"]) == {"trial"}


def test_rows_outside_of_the_experiment_are_what_they_were(world: World):
    plain = world.rows("forecasts", KEY)

    begun(world)

    after = world.rows("forecasts", KEY)
    outside = after["segment"] != SEGMENT
    same = ["forecast_id", "y_hat", "served_by", "model_version"]
    pd.testing.assert_frame_equal(after.loc[outside, same], plain.loc[outside, same])
    assert after.loc[outside, "experiment"].isna().all()


def test_a_store_is_served_by_one_arm(world: World):
    begun(world)

    rows = rows_of(world)
    [experiment] = experiments_of(Snapshot(world.lake), REGION)
    arms = rows.groupby("store_id")["arm"].unique().map(list)
    assert all(len(one) == 1 for one in arms)
    assert {store: one[0] for store, one in arms.items()} == {
        store: experiment.stores[store] for store in arms.index
    }
    assert set(rows["arm"]) == {"A", "B"}


def test_the_same_week_made_again_has_the_same_arms(world: World):
    begun(world)
    first = rows_of(world)

    world.make([forecasts], KEY)

    again = rows_of(world)
    same = ["arm", "y_hat", "forecast_a", "forecast_b"]
    pd.testing.assert_frame_equal(again[same], first[same])


def test_weeks_before_the_first_and_after_the_last_are_the_champions(world: World):
    start(order(), world.lake, world.registry)
    world.make([forecasts], KEY)
    assert rows_of(world)["experiment"].isna().all()

    stop(REGION, "trial", world.lake, who="ann", why="x", decided_at=later(), run_id="t")
    begun(world, name="second")
    stopped = stop(REGION, "second", world.lake, who="a", why="x", decided_at=later(), run_id="t")
    assert stopped.last_week == KEY.week
    assert not stopped.serves(KEY.week + pd.Timedelta(weeks=1))


def later() -> str:
    return "2024-03-12T06:00:00.000000+00:00"


def test_a_deleted_version_leaves_its_rows_to_the_champion_and_is_told(world: World):
    begun(world)
    world.registry._files.pop(world.registry.find(NAME, 1).artifact_uri)

    world.make([forecasts], KEY)

    rows = rows_of(world)
    Forecasts.validate(world.rows("forecasts", KEY), lazy=True)
    is_b = rows["arm"] == "B"
    assert is_b.any()
    assert set(rows.loc[is_b, "served_by"]) == {"champion"}
    assert rows["forecast_b"].isna().all()
    assert rows["experiment_note"].str.contains("B: .*gone").all()


def test_a_registry_that_is_down_costs_no_forecast(world: World):
    begun(world)
    world.registry.is_down = True

    result = world.make([forecasts], KEY)

    rows = rows_of(world)
    assert result.success
    assert np.isfinite(rows["y_hat"]).all()
    assert rows["experiment_note"].str.contains("cannot be reached").all()


def test_an_arm_that_talks_nonsense_is_not_served(world: World, monkeypatch: pytest.MonkeyPatch):
    from forecast_platform.forecasting.models.ensemble import Ensemble

    begun(world)
    own, calls = Ensemble.combine, []

    def combine(self, members):
        calls.append(self)
        answer = own(self, members)
        return np.full(len(answer), np.nan) if len(calls) > 4 else answer  # after the champions

    monkeypatch.setattr(Ensemble, "combine", combine)

    world.make([forecasts], KEY)

    rows = rows_of(world)
    assert np.isfinite(rows["y_hat"]).all()
    assert rows["experiment_note"].str.contains("B: .*not finite").all()


def test_the_challenger_arm_is_the_newest_model_that_was_trained(world: World):
    begun(world, b="challenger")

    rows = rows_of(world)

    trained = world.rows("trained_ensembles", KEY).set_index("segment")
    assert set(rows["version_b"]) == {int(trained.loc[SEGMENT, "model_version"])}


# ---- what is known


def pretend(world: World, n_weeks: int, *, worse: float) -> None:
    """Let the experiment have run for some weeks, with forecasts around what was sold then."""
    rng = np.random.default_rng(3)
    first = WEEKS[-n_weeks - 1]
    start(order(first_week=first), world.lake, world.registry)
    demand = world.lake.read("fct_weekly_demand", region=REGION)
    template = rows_of(world).drop_duplicates("unique_id")
    for week in WEEKS[-n_weeks - 1 : -1]:
        ahead = template.assign(week=week, ds=week + pd.Timedelta(weeks=1), h=1)
        sold = demand.set_index(["unique_id", "ds"])["y"]
        y = sold.reindex(pd.MultiIndex.from_frame(ahead[["unique_id", "ds"]])).fillna(0).to_numpy()
        noise = rng.normal(0, 0.2, (2, len(ahead)))
        made = ahead.assign(
            experiment="trial",
            arm=np.where(np.arange(len(ahead)) % 2, "A", "B"),
            forecast_a=y * np.exp(noise[0]),
            forecast_b=y * np.exp(noise[1] * (1 + worse)),
            forecast_id=[f"{week}{number}" for number in range(len(ahead))],
        )
        made["y_hat"] = np.where(made["arm"] == "A", made["forecast_a"], made["forecast_b"])
        world.lake.write("forecasts", made, [RegionWeek(REGION, week)], run_id="pretend")


def test_the_better_arm_is_named_with_an_interval(world: World):
    pretend(world, 14, worse=1.0)

    world.make([experiment_results], KEY)

    [row] = world.rows("experiment_results", KEY).to_dict("records")
    ExperimentResults.validate(world.rows("experiment_results", KEY))
    assert row["verdict"] == "A"
    assert 4 <= row["decided_after"] <= 14
    assert row["lower"] > 0.005
    assert row["loss_b"] > row["loss_a"] * 1.5
    assert row["served_b"] > row["served_a"]
    assert row["n_weeks"] == 14


def test_as_of_an_earlier_week_less_is_known(world: World):
    pretend(world, 14, worse=1.0)
    earlier = RegionWeek(REGION, WEEKS[-12])

    world.make([experiment_results], earlier, KEY)

    [row] = world.rows("experiment_results", earlier).to_dict("records")
    assert row["n_weeks"] == 3
    assert row["verdict"] == "not_yet"
    assert np.isnan(row["lower"])


def test_arms_that_are_alike_are_not_yet_told_apart(world: World):
    pretend(world, 14, worse=0.0)

    world.make([experiment_results], KEY)

    [row] = world.rows("experiment_results", KEY).to_dict("records")
    assert row["verdict"] == "not_yet"
    assert row["lower"] < 0 < row["upper"]


def test_rows_that_an_arm_could_not_forecast_are_counted_and_told(world: World):
    pretend(world, 6, worse=0.0)
    key = RegionWeek(REGION, WEEKS[-3])
    rows = world.rows("forecasts", key).assign(forecast_b=np.nan, experiment_note="B: gone")
    world.lake.write("forecasts", rows, [key], run_id="test")

    world.make([experiment_results], KEY)

    [row] = world.rows("experiment_results", KEY).to_dict("records")
    assert row["n_unpaired"] == len(rows)
    assert row["note"] == f"B: gone ({len(rows)} rows)"
    assert row["n_weeks"] == 5


def test_without_an_experiment_there_are_no_results(world: World):
    result = world.make([experiment_results], KEY)

    assert result.success
    assert world.rows("experiment_results", KEY).empty


# ---- starting and stopping


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"name": "No!"}, "is no name", id="name"),
        pytest.param({"b": "best"}, "is no arm", id="arm"),
        pytest.param({"b": "champion"}, "both arms are champion", id="same"),
        pytest.param({"b": f"{SEGMENT}=99"}, "no version 99", id="version"),
        pytest.param({"b": "small_fast=1"}, "needs one for each segment", id="other-segment"),
        pytest.param({"segments": ["huge_fast"]}, "it has large_fast", id="segment"),
        pytest.param({"region": "south"}, "has no forecast yet", id="region"),
        pytest.param({"why": " "}, "who decides and why", id="why"),
        pytest.param({"alpha": 2.0}, "alpha must be", id="alpha"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused(world: World, wrong: dict, told: str):
    with pytest.raises(ExperimentRefused, match=told):
        start(order(**wrong), world.lake, world.registry)

    assert not world.lake.exists("experiments")


def test_a_segment_has_one_experiment_at_a_time(world: World):
    start(order(), world.lake, world.registry)

    with pytest.raises(ExperimentRefused, match=r"'trial' runs in large_fast .* stop it first"):
        start(order("second"), world.lake, world.registry)
    start(order("other", segments=["small_fast"], b="challenger"), world.lake, world.registry)
    stop(REGION, "trial", world.lake, who="a", why="b", decided_at=later(), run_id="t")
    start(order("second", decided_at=later()), world.lake, world.registry)

    names = {one.name: one.state for one in experiments_of(Snapshot(world.lake), REGION)}
    assert names == {"trial": State.STOPPED, "other": State.RUNNING, "second": State.RUNNING}


def test_a_name_is_used_once(world: World):
    start(order(), world.lake, world.registry)
    stop(REGION, "trial", world.lake, who="a", why="b", decided_at=later(), run_id="t")

    with pytest.raises(ExperimentRefused, match="a name is used once"):
        start(order(decided_at=later()), world.lake, world.registry)


@pytest.mark.parametrize("name", ["trial", "another"])
def test_of_two_that_start_at_the_same_moment_one_wins(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
):
    """The other one was recorded between the look for conflicts and the own record."""
    own = record

    def late(lake, experiments, run_id):
        monkeypatch.setattr(control, "record", own)
        start(order(), world.lake, world.registry)
        own(lake, experiments, run_id)

    monkeypatch.setattr(control, "record", late)

    with pytest.raises(ExperimentRefused, match="is ahead"):
        start(order(name, decided_at=later()), world.lake, world.registry)

    [running] = experiments_of(Snapshot(world.lake), REGION)
    assert (running.name, running.decided_at) == ("trial", order().decided_at)


def test_stopping_what_does_not_run_names_what_does(world: World):
    start(order(), world.lake, world.registry)

    with pytest.raises(ExperimentRefused, match="running: trial"):
        stop(REGION, "trail", world.lake, who="a", why="b", decided_at=later(), run_id="t")


def test_the_table_keeps_who_and_why_of_every_change(world: World):
    start(order(), world.lake, world.registry)
    stop(REGION, "trial", world.lake, who="bob", why="enough", decided_at=later(), run_id="t")

    Experiments.validate(world.lake.read("experiments"), lazy=True)
    told = [(one.state, one.who, one.why) for one in history_of(Snapshot(world.lake), REGION)]
    assert told == [(State.RUNNING, "ann", "to know"), (State.STOPPED, "bob", "enough")]


def test_the_jobs_give_the_same_orders(world: World):
    config = {
        "region": REGION,
        "name": "trial",
        "b": f"{SEGMENT}=1",
        "segments": [SEGMENT],
        "who": "ann",
        "why": "to know",
    }
    resources = {"lake": world.lake, "registry": world.registry}
    result = start_experiment.execute_in_process(
        resources=resources, run_config={"ops": {"start_experiment_op": {"config": config}}}
    )
    started = json.loads(world.lake.read("experiments")["arm_b"].iloc[0])["versions"][SEGMENT][
        "version"
    ]
    ending = {name: config[name] for name in ("region", "name", "who", "why")}
    stop_experiment.execute_in_process(
        resources=resources, run_config={"ops": {"stop_experiment_op": {"config": ending}}}
    )

    assert result.success
    assert started == 1
    assert [one.state for one in history_of(Snapshot(world.lake), REGION)] == [
        State.RUNNING,
        State.STOPPED,
    ]


def test_a_result_without_a_verdict_breaks_the_contract(world: World):
    pretend(world, 6, worse=0.0)

    result = world.make([experiment_results, *monitoring_contract_checks], KEY)

    [evaluated] = result.get_asset_check_evaluations()
    broken = world.rows("experiment_results", KEY).assign(verdict="perhaps")
    assert evaluated.passed
    with pytest.raises(SchemaErrors):
        ExperimentResults.validate(broken, lazy=True)


# ---- letting the winner serve


def test_the_winner_serves_from_then_on_and_the_log_says_why(world: World):
    pretend(world, 14, worse=-0.6)
    champion = champion_version(world)
    other = json.loads(world.lake.read("experiments")["arm_b"].iloc[0])["versions"][SEGMENT]

    stopped, changed = stop_and_promote(
        REGION,
        "trial",
        world.lake,
        world.registry,
        promote="winner",
        who="bob",
        why="twice as good",
        decided_at=later(),
        run_id="t",
    )

    assert champion != other["version"]
    assert (stopped.winner, stopped.promoted, stopped.state) == ("B", "B", State.STOPPED)
    assert changed == {SEGMENT: other["version"]}
    assert champion_version(world) == other["version"]
    promotion = world.rows("promotion", KEY).set_index("segment").loc[SEGMENT]
    assert promotion["champion_version"] == other["version"]
    log = world.lake.read("promotion_log").set_index("mode").loc["person"]
    assert (log["who"], log["why"]) == ("bob", "arm B of experiment trial: twice as good")
    world.make([forecasts], KEY)
    assert set(rows_of(world)["model_version"]) == {other["version"]}


def test_nobody_is_promoted_before_the_test_has_decided_unless_named(world: World):
    pretend(world, 5, worse=0.0)
    words = {"who": "bob", "why": "x", "decided_at": later(), "run_id": "t"}
    trial = (REGION, "trial", world.lake, world.registry)

    with pytest.raises(ExperimentRefused, match="not yet decided after 5 weeks"):
        stop_and_promote(*trial, promote="winner", **words)
    champion = champion_version(world)
    stopped, changed = stop_and_promote(*trial, promote="A", **words)

    assert (stopped.winner, stopped.promoted, changed) == ("not_yet", "A", {})
    assert champion_version(world) == champion


def test_an_experiment_goes_on_when_its_winner_cannot_be_promoted(world: World):
    pretend(world, 5, worse=0.0)
    world.registry.is_down = True

    with pytest.raises(RegistryUnavailable):
        stop_and_promote(
            REGION,
            "trial",
            world.lake,
            world.registry,
            promote="B",
            who="bob",
            why="x",
            decided_at=later(),
            run_id="t",
        )

    [running] = experiments_of(Snapshot(world.lake), REGION)
    assert running.state is State.RUNNING


# ---- lineage


def test_a_forecast_of_an_arm_is_traced_to_its_model_and_made_again(world: World):
    other = 1 if champion_version(world) == 2 else 2
    begun(world, b=f"{SEGMENT}={other}", design=Design.INTERLEAVED)
    rows = rows_of(world)
    commits = Commits(world.lake)

    for arm, version in (("A", champion_version(world)), ("B", other)):
        text = str(rows.loc[rows["arm"] == arm, "forecast_id"].iloc[0])
        found = find_forecast(world.lake, commits, text)
        told = trace(found, world.lake, commits, world.registry).described()
        again = reproduce(found, world.lake, commits, world.registry, depth=Depth.FEATURES)

        assert told["problems"] == []
        assert told["forecast"]["arm"] == arm
        assert told["model"]["champion_version"] == version
        assert again.is_same, [step for step in again.steps if not step.is_same]


def test_a_forecast_of_an_arm_is_taken_apart_by_the_arms_own_model(world: World):
    other = 1 if champion_version(world) == 2 else 2
    begun(world, b=f"{SEGMENT}={other}", design=Design.INTERLEAVED)

    world.make([forecast_contributions], KEY)

    rows = world.rows("forecast_contributions", KEY)
    ForecastContributions.validate(rows, lazy=True)
    own = rows[rows["served_by"] == "experiment"]
    parts = own[list(PARTS)]
    assert len(own)
    assert (parts.drop(columns="base").abs().sum(axis=1) > 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), own["y_hat"], rtol=1e-6)
    found = find_forecast(world.lake, Commits(world.lake), own["forecast_id"].iloc[0])
    told = explain(found, None, world.lake, world.registry)
    assert told.parts["trend"] == pytest.approx(own["trend"].iloc[0])


def test_accuracy_tells_arms_from_failovers(world: World):
    begun(world, b=f"{SEGMENT}=1", design=Design.INTERLEAVED, first_week=BEFORE.week)
    world.make([forecasts], BEFORE)
    n_arm = (rows_of(world, BEFORE)["served_by"] == "experiment").sum()

    scored = RegionWeek(REGION, WEEKS[-5])
    past = Past(Snapshot(world.lake), REGION, [scored.week])
    scores = score_week(scored, past)

    row = scores[(scores["segment"] == SEGMENT) & (scores["h"] == 1)].iloc[0]
    assert n_arm
    assert row["share_champion"] + row["share_experiment"] == 1
    assert row["mape_promised"] > 0
