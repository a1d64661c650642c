"""Each reason to train again, from what happens in the lake to the cause in the models' rows."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets import (
    features,
    forecasts,
    monitoring,
    promotion,
    training,
    validation,
)
from forecast_platform.assets.features import demand_features
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.automation import retraining
from forecast_platform.automation.jobs import remake_features, retrain_ensemble
from forecast_platform.automation.retraining import build_retraining_sensor
from forecast_platform.automation.schedules import build_weekly_forecast_schedule
from forecast_platform.checks.learning import learnt_from_features_of_one_code
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import code_version
from forecast_platform.resources.feature_codes import FeatureCodes
from forecast_platform.resources.io_manager import LakeIOManager
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.triggers import TRIGGER_TAG
from forecast_platform.schemas.models import TrainedEnsembles
from forecast_platform.schemas.monitoring import SEGMENTS, ModelHealth
from forecast_platform.schemas.tables import as_table
from forecast_platform_tests.assets.conftest import REGION, WEEKS, MakeWorld, World
from forecast_platform_tests.fakes import InMemoryRegistry

KEY = RegionWeek(REGION, WEEKS[-1])
BEFORE = RegionWeek(REGION, WEEKS[-2])
EARLY = RegionWeek(REGION, WEEKS[-9])
MODULES = (features, training, validation, promotion, forecasts, monitoring)
OTHER_CODE = "c" * 64


@dataclass
class Daemon:
    """The daemon's part: ticks of the sensor, and the runs that they ask for."""

    world: World
    max_per_week: int = 3
    cursor: str | None = None
    seen_keys: set[str] = field(default_factory=set)
    skipped: str = ""

    def tick(self) -> list[dg.RunRequest]:
        sensor = build_retraining_sensor(
            running=True, every_seconds=300, max_per_week=self.max_per_week
        )
        context = dg.build_sensor_context(
            instance=self.world.instance,
            cursor=self.cursor,
            resources={"lake": self.world.lake, "model_settings": self.world.settings},
        )
        result: Any = sensor(context)
        self.cursor, self.skipped = result.cursor, str(result.skip_reason)
        new = [one for one in result.run_requests or () if one.run_key not in self.seen_keys]
        self.seen_keys |= {one.run_key for one in new}
        return new

    def run(self, request: dg.RunRequest) -> None:
        """Run the job that is asked for, on the partitions that are asked for."""
        world = self.world
        definitions = dg.Definitions(
            assets=dg.load_assets_from_modules(MODULES),
            jobs=[retrain_ensemble, remake_features],
            resources={
                "lake": world.lake,
                "lake_io_manager": LakeIOManager(lake=world.lake),
                "registry": world.registry,
                "model_settings": world.settings,
                "lifecycle": world.lifecycle,
            },
            executor=dg.in_process_executor,
        )
        definitions.resolve_job_def(request.job_name or retrain_ensemble.name).execute_in_process(
            partition_key=request.partition_key, tags=request.tags, instance=world.instance
        )


@pytest.fixture
def daemon(forecast: World) -> Daemon:
    """A region that was trained at the newest week."""
    forecast.instance.add_dynamic_partitions("region", [REGION])
    return Daemon(forecast)


@pytest.fixture(scope="module")
def _behind(_featured: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("behind") / "lake"
    shutil.copytree(_featured.lake.uri, folder)
    lake, instance = Lake(uri=str(folder), git_commit="abc"), dg.DagsterInstance.ephemeral()
    world = World(lake, InMemoryRegistry(), _featured.settings, instance)
    world.make([trained_ensembles], BEFORE)
    return world


@pytest.fixture
def behind(_behind: World, _copy_world: MakeWorld) -> Daemon:
    """A region whose newest week has features, and models of the week before."""
    world = _copy_world(_behind)
    world.instance.add_dynamic_partitions("region", [REGION])
    return Daemon(world)


def write_demand(world: World, key: RegionWeek, factor: float) -> None:
    """Deliver a week once more."""
    demand = world.rows("fct_weekly_demand", key)
    demand["y"] *= factor
    world.lake.write("fct_weekly_demand", demand, [key], run_id="test")


def write_health(world: World, key: RegionWeek, **told: Any) -> None:
    fine = {"status": "ok", "is_degraded": False, "is_drifted": False, "n_weeks": 8}
    rows = pd.DataFrame({"segment": SEGMENTS}).assign(region=key.region, week=key.week, **fine)
    for column, value in told.items():
        rows.loc[0, column] = value
    table = as_table(rows.reindex(columns=[*ModelHealth.to_schema().columns]), ModelHealth)
    world.lake.write("model_health", ModelHealth.validate(table), [key], run_id="test")


def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (retraining, training):
        monkeypatch.setattr(module, "training_code_digest", lambda _: OTHER_CODE)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, which is taken for the installed one."""
    package = tmp_path / "package"
    for one in code_version.CODE:
        place = code_version.PACKAGE / one
        copy_place = shutil.copytree if place.is_dir() else shutil.copyfile
        (package / one).parent.mkdir(parents=True, exist_ok=True)
        copy_place(place, package / one)
    monkeypatch.setattr(code_version, "PACKAGE", package)
    return package


def change_features(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change code of features: its text on the disk, and what it makes."""
    changed = package / "forecasting/features/assemble.py"
    changed.write_text(changed.read_text() + f"\nFACTOR = {len(changed.read_text())}\n")
    make = features.make_features

    def make_otherwise(*given: Any) -> pd.DataFrame:
        made = make(*given)
        return made.assign(base_level=made["base_level"] * 1.01)

    monkeypatch.setattr(features, "make_features", make_otherwise)


def codes_learnt_from(world: World, key: RegionWeek = KEY) -> dict[pd.Timestamp, str | None]:
    """Find which code made the features of every week that the models learnt from."""
    [commit] = world.lake.history("trained_ensembles", limit=1)
    version = commit["provenance"]["read"]["demand_features"]
    first = key.week - pd.Timedelta(weeks=world.settings.training_weeks)
    learnt = [week for week in WEEKS if first <= week <= key.week]
    return FeatureCodes(world.lake).of(REGION, learnt, version)


def causes(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(str(one.partition_key), one.tags[TRIGGER_TAG]) for one in requests]


def recorded(world: World, key: RegionWeek = KEY) -> tuple[str, str]:
    rows = TrainedEnsembles.validate(world.rows("trained_ensembles", key))
    [pair] = set(zip(rows["triggered_by"], rows["code_digest"], strict=True))
    return pair


def test_models_that_are_as_they_should_be_are_left_alone(daemon: Daemon):
    write_health(daemon.world, KEY)

    assert daemon.tick() == []
    assert daemon.tick() == []
    assert "Nothing has changed" in daemon.skipped


def test_the_timer_trains_and_is_recorded_as_the_cause(featured: World, tmp_path: Path):
    featured.instance.add_dynamic_partitions("region", [REGION])
    tick = datetime.combine(KEY.week + pd.Timedelta(weeks=1), datetime.min.time(), UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("region", [REGION])
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick)
        ticked: Any = build_weekly_forecast_schedule(running=True)(context)
        [request] = ticked

    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == KEY.key
    Daemon(featured).run(request)

    assert recorded(featured)[0] == "timer"


def test_a_person_is_the_cause_of_a_run_without_one(daemon: Daemon):
    assert recorded(daemon.world)[0] == "manual"


def test_a_correction_of_a_week_that_was_learnt_from_makes_one_retraining(daemon: Daemon):
    write_demand(daemon.world, EARLY, 2)

    [request] = daemon.tick()
    assert causes([request]) == [(KEY.key, "data")]
    assert "fct_weekly_demand" in request.tags[retraining.REASON_TAG]
    assert daemon.tick() == []
    daemon.run(request)

    assert daemon.tick() == []
    assert recorded(daemon.world)[0] == "data"


def test_the_same_rows_delivered_again_are_no_correction(daemon: Daemon):
    write_demand(daemon.world, EARLY, 1)
    daemon.world.make([demand_features], EARLY)

    assert daemon.tick() == []


def test_a_correction_that_comes_back_is_answered_again(daemon: Daemon):
    for factor in (2, 0.5):
        write_demand(daemon.world, EARLY, factor)
        assert causes(daemon.tick()) == [(KEY.key, "data")]
        daemon.world.make([trained_ensembles], KEY)
    write_demand(daemon.world, EARLY, 2)

    assert causes(daemon.tick()) == [(KEY.key, "data")]


def test_a_correction_told_in_a_later_week_trains_that_week(behind: Daemon):
    world = behind.world
    late = world.rows("fct_weekly_demand", EARLY).assign(week=KEY.week)
    late["y"] += 7
    demand = pd.concat([world.rows("fct_weekly_demand", KEY), late])
    world.lake.write("fct_weekly_demand", demand, [KEY], run_id="test")

    assert causes(behind.tick()) == [(KEY.key, "data")]


def test_a_new_week_is_no_correction(behind: Daemon):
    write_demand(behind.world, KEY, 2)

    assert behind.tick() == []


def test_corrected_features_alone_are_a_correction(daemon: Daemon):
    rows = daemon.world.rows("demand_features", EARLY)
    price = next(name for name in rows if "price" in str(name))
    rows[price] = rows[price] * 2 + 1
    daemon.world.lake.write("demand_features", rows, [EARLY], run_id="test")

    [request] = daemon.tick()

    assert "demand_features" in request.tags[retraining.REASON_TAG]


def test_new_code_trains_once(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    other_code(monkeypatch)

    [request] = daemon.tick()
    assert causes([request]) == [(KEY.key, "code")]
    daemon.run(request)

    assert daemon.tick() == []
    assert recorded(daemon.world) == ("code", OTHER_CODE)


def test_changed_features_are_made_again_before_models_learn_from_them(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    old = code_version.feature_code_digest()
    before = daemon.world.rows("demand_features", EARLY)
    change_features(installed, monkeypatch)
    new = code_version.feature_code_digest()

    [first] = daemon.tick()
    assert (first.job_name, first.tags[TRIGGER_TAG]) == ("remake_features", "code")
    daemon.run(first)
    assert (daemon.world.rows("demand_features", EARLY)["base_level"] != before["base_level"]).any()
    [second] = daemon.tick()
    assert (second.job_name, causes([second])) == ("retrain_ensemble", [(KEY.key, "code")])
    daemon.run(second)

    assert old != new
    assert set(codes_learnt_from(daemon.world).values()) == {new}
    assert len(codes_learnt_from(daemon.world)) > 20
    assert recorded(daemon.world)[0] == "code"
    assert daemon.tick() == []


def test_only_the_weeks_that_are_learnt_from_are_made_again(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    daemon.world.settings = ModelSettings(epochs=2, training_weeks=12)
    change_features(installed, monkeypatch)
    daemon.world.make([demand_features], RegionWeek(REGION, WEEKS[-5]))

    requests = daemon.tick()

    assert [
        tuple(one.tags[f"dagster/asset_partition_range_{end}"][-10:] for end in ("start", "end"))
        for one in requests
    ] == [
        (f"{WEEKS[-13]:%Y-%m-%d}", f"{WEEKS[-6]:%Y-%m-%d}"),
        (f"{WEEKS[-4]:%Y-%m-%d}", f"{WEEKS[-1]:%Y-%m-%d}"),
    ]


def test_a_comment_in_the_code_of_features_makes_nothing_again(daemon: Daemon, installed: Path):
    changed = installed / "forecasting/features/assemble.py"
    changed.write_text(f"# Said otherwise.\n{changed.read_text()}")

    assert daemon.tick() == []


def test_changed_code_of_models_leaves_features_alone(daemon: Daemon, installed: Path):
    changed = installed / "forecasting/models/objective.py"
    changed.write_text(f"{changed.read_text()}\nFACTOR = 2\n")

    [request] = daemon.tick()

    assert request.job_name == "retrain_ensemble"


def test_features_that_cannot_be_made_again_hold_the_models_back_and_are_told(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    change_features(installed, monkeypatch)
    assert len(daemon.tick()) == 1  # and that run fails

    assert daemon.tick() == []
    assert f"features of {len(WEEKS)} weeks were made by other code still" in daemon.skipped


def test_features_are_made_again_a_bounded_number_of_times(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    daemon.max_per_week = 2
    n_asked = 0
    for _ in range(4):
        change_features(installed, monkeypatch)
        n_asked += len(daemon.tick())

    assert n_asked == 2
    assert "held back" in daemon.skipped


def test_a_correction_waits_for_changed_features_and_is_answered_with_them(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    write_demand(daemon.world, EARLY, 2)
    change_features(installed, monkeypatch)

    [first] = daemon.tick()
    daemon.run(first)

    assert causes(daemon.tick()) == [(KEY.key, "data,code")]


def test_a_timer_that_came_first_is_made_good(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    world = daemon.world
    change_features(installed, monkeypatch)
    world.make([demand_features, trained_ensembles, learnt_from_features_of_one_code], KEY)
    assert world.rows("trained_ensembles", KEY)["n_weeks_of_other_code"].unique() > 20

    [first] = daemon.tick()
    daemon.run(first)
    [second] = daemon.tick()
    daemon.run(second)

    assert causes([first]) == [("None", "code")]
    assert causes([second]) == [(KEY.key, "code")]
    assert set(world.rows("trained_ensembles", KEY)["n_weeks_of_other_code"]) == {0}


def test_learning_from_two_codes_is_told(
    daemon: Daemon, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    change_features(installed, monkeypatch)
    checked = [demand_features, trained_ensembles, learnt_from_features_of_one_code]

    [told] = daemon.world.make(checked, KEY).get_asset_check_evaluations()

    assert not told.passed
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert f"features of {len(WEEKS) - 1} weeks were made by other code" in str(told.description)


def test_models_from_before_digests_do_not_tell_their_code(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
):
    rows = daemon.world.rows("trained_ensembles", KEY).assign(code_digest=None)
    daemon.world.lake.write("trained_ensembles", rows, [KEY], run_id="test")
    other_code(monkeypatch)

    assert daemon.tick() == []


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        pytest.param({"status": "stale"}, "stale", id="stale"),
        pytest.param({"is_degraded": True}, "degraded", id="degraded"),
        pytest.param({"is_drifted": True}, "drift", id="drift"),
        pytest.param({"status": "stale", "is_drifted": True}, "stale,drift", id="two-at-once"),
    ],
)
def test_models_that_wore_out_are_trained_on_the_newest_week(behind: Daemon, told, cause):
    write_health(behind.world, BEFORE, **told)

    [request] = behind.tick()
    assert causes([request]) == [(KEY.key, cause)]
    assert SEGMENTS[0] in request.tags[retraining.REASON_TAG]
    behind.run(request)

    assert recorded(behind.world)[0] == cause
    assert behind.tick() == []


def test_worn_models_that_training_again_would_only_repeat_are_told_not_trained(daemon: Daemon):
    write_health(daemon.world, KEY, is_degraded=True)

    assert daemon.tick() == []
    assert "would give the same ones" in daemon.skipped


def test_a_gate_that_keeps_the_stale_champion_makes_no_loop(behind: Daemon):
    write_health(behind.world, BEFORE, status="stale")
    [request] = behind.tick()
    behind.run(request)
    write_health(behind.world, KEY, status="stale")

    assert behind.tick() == []


def test_a_champion_above_60_days_is_stale_also_where_nobody_watches_health(behind: Daemon):
    world = behind.world
    world.make([validation.validation_metrics, promotion.promotion], BEFORE)
    rows = world.rows("promotion", BEFORE)
    rows.loc[rows["kind"] == "ensemble", "cutoff"] = KEY.week - pd.Timedelta(days=61)
    world.lake.write("promotion", rows, [BEFORE], run_id="test")

    assert causes(behind.tick()) == [(KEY.key, "stale")]


def test_two_reasons_at_once_make_one_retraining(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    write_demand(daemon.world, EARLY, 2)
    write_health(daemon.world, KEY, is_drifted=True)
    other_code(monkeypatch)

    [request] = daemon.tick()
    assert causes([request]) == [(KEY.key, "data,code,drift")]
    daemon.run(request)

    assert daemon.tick() == []
    assert recorded(daemon.world) == ("data,code,drift", OTHER_CODE)


def test_a_storm_is_bounded_and_what_is_held_back_is_told(daemon: Daemon):
    daemon.max_per_week = 2
    n_asked = 0
    for factor in (2, 3, 5, 7):
        write_demand(daemon.world, EARLY, factor)
        n_asked += len(daemon.tick())

    assert n_asked == 2
    assert f"{KEY.key}: held back" in daemon.skipped


@pytest.fixture
def unfinished(daemon: Daemon) -> dg.DagsterRun:
    """A landing run of an earlier week of the region, which is under way."""
    waiting = dg.DagsterRun(
        job_name="weekly_forecast",
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": EARLY.key},
    )
    return daemon.world.instance.add_run(waiting)


def test_a_region_with_a_run_under_way_waits_and_is_then_answered_once(
    daemon: Daemon, unfinished: dg.DagsterRun
):
    write_demand(daemon.world, EARLY, 2)

    assert daemon.tick() == []
    assert unfinished.run_id in daemon.skipped
    write_demand(daemon.world, EARLY, 3)
    daemon.world.instance.report_run_canceled(unfinished)

    assert causes(daemon.tick()) == [(KEY.key, "data")]
    assert daemon.tick() == []


def test_a_lost_memory_asks_for_nothing_twice(daemon: Daemon):
    write_demand(daemon.world, EARLY, 2)
    assert daemon.tick()
    daemon.cursor = None

    assert daemon.tick() == []


def test_a_region_that_is_not_registered_is_left_alone(daemon: Daemon):
    write_demand(daemon.world, EARLY, 2)
    daemon.world.instance.delete_dynamic_partition("region", REGION)

    assert daemon.tick() == []


def test_before_the_first_training_there_is_nothing_to_do(featured: World):
    daemon = Daemon(featured)

    assert daemon.tick() == []
    assert "Nothing was trained" in daemon.skipped
