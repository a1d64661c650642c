"""A person's word: it decides who serves next, and is never undone by making a week again."""

import json

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.promotion import promotion
from forecast_platform.automation.decisions import decide_on_models
from forecast_platform.errors import DecisionRefused, RegistryUnavailable
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.approvals import Order, decide
from forecast_platform.resources.lifecycle import Lifecycle
from forecast_platform.resources.overview import serving_models
from forecast_platform.schemas.lifecycle import PromotionLog
from forecast_platform.schemas.models import Promotion
from forecast_platform_tests.assets.conftest import REGION, WEEKS, World

BEFORE = RegionWeek(REGION, WEEKS[-2])
KEY = RegionWeek(REGION, WEEKS[-1])
LATER = RegionWeek(REGION, KEY.week + pd.Timedelta(weeks=1))
NAME = "demand-north-large-fast"
SEGMENT = "large_fast"


@pytest.fixture
def judged(forecast: World) -> World:
    """Version 1 serves since a week ago, version 2 is the challenger of the last week."""
    tables = ("trained_ensembles", "validation_metrics", "holdout_forecasts")
    rows = {name: forecast.rows(name, KEY) for name in tables}
    first = rows["trained_ensembles"].assign(week=BEFORE.week, cutoff=BEFORE.week)
    forecast.lake.write("trained_ensembles", first, [BEFORE], run_id="test")
    for name in tables[1:]:
        moved = rows[name].assign(week=BEFORE.week)
        forecast.lake.write(name, moved, [BEFORE], run_id="test")
    second = _register_again(forecast, rows["trained_ensembles"])
    forecast.lake.write("trained_ensembles", second, [KEY], run_id="test")
    forecast.make([promotion], BEFORE)
    return forecast


def _register_again(world: World, trained: pd.DataFrame) -> pd.DataFrame:
    """Register the models a second time, as if they had been trained a week later."""
    registry, rows = world.registry, []
    for row in trained.to_dict("records"):
        name = row["model_name"]
        [first] = registry._versions[name]
        registry._versions[name][0] = first.__class__(**{**vars(first), "cutoff": BEFORE.week})
        registry._aliases.pop((name, "champion"), None)
        uri = f"{first.artifact_uri}/again"
        registry._files[uri] = dict(registry._files[first.artifact_uri])
        again = first.__class__(**{**vars(first), "version": 2, "artifact_uri": uri})
        registry._versions[name].append(again)
        rows.append({**row, "model_version": 2, "artifact_uri": uri})
    return pd.DataFrame(rows)


def manual(world: World) -> World:
    world.lifecycle = Lifecycle(mode="manual")
    return world


def order(verdict: str, **more) -> Order:
    told = {"who": "ada", "why": "a reason", "decided_at": "2025-01-06T08:00:00.000000+00:00"}
    given = {"region": REGION, "segments": [SEGMENT], "run_id": "test"} | told | more
    return Order(verdict=verdict, **given)


def row(world: World, key: RegionWeek = KEY) -> pd.Series:
    rows = world.rows("promotion", key)
    Promotion.validate(rows, lazy=True)
    return rows.set_index("segment").loc[SEGMENT]


def served_version(world: World, key: RegionWeek = KEY) -> int:
    world.make([forecasts], key)
    rows = world.rows("forecasts", key)
    rows = rows[rows["segment"] == SEGMENT]
    assert set(rows["served_by"]) == {"champion"}
    [version] = set(rows["model_version"])
    return int(version)


def test_in_manual_mode_a_challenger_that_passes_waits_and_the_champion_serves(judged: World):
    manual(judged).make([promotion], KEY)

    found = row(judged)
    assert (found["verdict"], found["champion_version"]) == ("pending", 1)
    assert found["challenger_version"] == 2
    assert "waits for approval: MAPE" in found["reason"]
    assert judged.registry.champion(NAME).version == 1
    assert judged.registry.tags[NAME, 2]["verdict"] == "pending"
    assert served_version(judged) == 1


def test_approval_makes_the_next_scoring_use_the_challenger(judged: World):
    manual(judged).make([promotion], KEY)

    decide(order("approved"), judged.lake, judged.registry)

    assert served_version(judged) == 2
    assert judged.registry.champion(NAME).version == 2
    assert row(judged)["reason"] == "approved by ada: a reason"
    others = judged.rows("promotion", KEY).query("kind == 'ensemble' and segment != @SEGMENT")
    assert "approved" not in set(others["verdict"])


def test_a_rejected_challenger_does_not_serve_nor_does_it_when_its_week_is_made_again(
    judged: World,
):
    manual(judged).make([promotion], KEY)
    decide(order("rejected"), judged.lake, judged.registry)

    judged.lifecycle = Lifecycle()
    judged.make([promotion], KEY)

    assert (row(judged)["verdict"], row(judged)["champion_version"]) == ("rejected", 1)
    assert served_version(judged) == 1


def test_an_approval_outlives_the_remaking_of_its_week(judged: World):
    manual(judged).make([promotion], KEY)
    decide(order("approved"), judged.lake, judged.registry)

    judged.make([promotion], KEY)

    assert (row(judged)["verdict"], row(judged)["champion_version"]) == ("approved", 2)


def test_rollback_restores_the_former_champion_in_one_step(judged: World):
    judged.make([promotion], KEY)
    assert served_version(judged) == 2

    decide(order("rolled_back"), judged.lake, judged.registry)

    assert served_version(judged) == 1
    assert judged.registry.champion(NAME).version == 1
    assert row(judged)["verdict"] == "rolled_back"
    judged.make([promotion], KEY)
    assert row(judged)["champion_version"] == 1
    assert judged.registry.champion(NAME).version == 1


def test_what_was_rolled_back_does_not_come_back_in_the_next_week(judged: World):
    judged.make([promotion], KEY)
    decide(order("rolled_back"), judged.lake, judged.registry)
    untrained = judged.rows("trained_ensembles", KEY).assign(
        week=LATER.week, status="history_too_short", reason="lost weeks"
    )
    judged.lake.write("trained_ensembles", untrained, [LATER], run_id="test")
    for name in ("holdout_forecasts", "validation_metrics"):
        empty = judged.rows(name, KEY).head(0)
        judged.lake.write(name, empty, [LATER], run_id="test", allow_empty=True)

    judged.make([promotion], LATER)

    assert (row(judged, LATER)["verdict"], row(judged, LATER)["champion_version"]) == (
        "kept_champion",
        1,
    )


def test_a_past_week_knows_nothing_of_a_later_decision(judged: World):
    manual(judged).make([promotion], KEY)
    decide(order("rejected"), judged.lake, judged.registry)

    judged.make([promotion], BEFORE)

    assert row(judged, BEFORE)["verdict"] == "pending"


def test_a_version_that_did_not_wait_can_be_approved_by_its_number(judged: World):
    judged.make([promotion], KEY)

    decide(order("approved", version=1), judged.lake, judged.registry)

    assert served_version(judged) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param({"verdict": "approved"}, "nothing waits", id="nothing-pending"),
        pytest.param({"verdict": "rejected"}, "nothing waits", id="nothing-to-reject"),
        pytest.param(
            {"verdict": "approved", "segments": ["huge"]}, "no segment huge", id="no-such-segment"
        ),
        pytest.param(
            {"verdict": "approved", "segments": [], "version": 1}, "--segment", id="whose-version"
        ),
        pytest.param({"verdict": "approved", "version": 9}, "no version 9", id="no-such-version"),
        pytest.param({"verdict": "rejected", "who": " "}, "who decides", id="nobody"),
        pytest.param({"verdict": "rejected", "why": ""}, "why", id="no-reason"),
        pytest.param({"verdict": "approved", "region": "south"}, "'south'", id="other-region"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_changes_nothing(judged: World, given, told):
    judged.make([promotion], KEY)
    version, logged = judged.lake.version("promotion"), judged.lake.version("promotion_log")

    with pytest.raises(Exception, match=told):
        decide(order(**given), judged.lake, judged.registry)

    assert judged.lake.version("promotion") == version
    assert judged.lake.version("promotion_log") == logged


def test_without_a_former_champion_there_is_no_way_back(forecast: World):
    with pytest.raises(DecisionRefused, match="no former champion"):
        decide(order("rolled_back"), forecast.lake, forecast.registry)


def test_with_the_registry_down_nothing_is_decided(judged: World):
    judged.make([promotion], KEY)
    judged.registry.is_down = True

    with pytest.raises(RegistryUnavailable):
        decide(order("rolled_back"), judged.lake, judged.registry)

    assert row(judged)["champion_version"] == 2


def test_a_registry_that_is_down_while_judging_learns_of_it_later(judged: World):
    judged.registry.is_down = True
    judged.make([promotion], KEY)
    assert row(judged)["champion_version"] == 2
    judged.registry.is_down = False
    assert judged.registry.champion(NAME).version == 1

    judged.make([promotion], KEY)

    assert judged.registry.champion(NAME).version == 2


def test_every_verdict_is_in_the_log_with_its_numbers(judged: World):
    manual(judged).make([promotion], KEY)
    decide(order("approved"), judged.lake, judged.registry)

    log = judged.lake.read("promotion_log", region=REGION)
    PromotionLog.validate(log)
    own = log[(log["segment"] == SEGMENT) & (log["week"] == KEY.week)]
    own = own.sort_values("decided_at", ascending=False, ignore_index=True)
    by_rule = own[own["who"] == "rule"].iloc[0]
    by_ada = own[own["who"] == "ada"].iloc[0]
    assert (by_rule["verdict"], by_rule["mode"]) == ("pending", "manual")
    assert (by_rule["champion_before"], by_rule["champion_after"]) == (1, 1)
    assert (by_ada["verdict"], by_ada["champion_after"], by_ada["why"]) == (
        "approved",
        2,
        "a reason",
    )
    numbers = {one["condition"]: one for one in json.loads(by_rule["numbers_json"])}
    assert {"mape", "mape_baseline", "mape_champion", "bias"} <= set(numbers)
    assert numbers["mape"]["limit"] == 0.45
    tags = judged.registry.tags[NAME, 2]
    assert json.loads(tags["verdict_numbers"]) == json.loads(by_rule["numbers_json"])


def test_the_overview_shows_who_serves_and_who_did(judged: World):
    judged.make([promotion], KEY)

    found = serving_models(judged.lake, [REGION], with_former=True)
    found = found.set_index("segment").loc[SEGMENT]

    assert (found["champion_version"], found["former_version"], found["age_days"]) == (2, 1, 0)


def test_the_job_of_the_ui_does_the_same(judged: World):
    manual(judged).make([promotion], KEY)
    config = {"verb": "APPROVE", "region": REGION, "segments": [SEGMENT]}
    config |= {"who": "ada", "why": "as agreed"}

    result = decide_on_models.execute_in_process(
        run_config={"ops": {"decide_on_model": {"config": config}}},
        resources={"lake": judged.lake, "registry": judged.registry},
        instance=dg.DagsterInstance.ephemeral(),
    )

    assert result.success
    assert row(judged)["reason"] == "approved by ada: as agreed"
    log = judged.lake.read("promotion_log", region=REGION)
    assert result.run_id in set(log["run_id"])
