"""How runs end, on definitions of two assets that fail where they are told to."""

import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.automation.jobs import condition_data, weekly_forecast
from forecast_platform.errors import BadFile, HistoryTooShort
from forecast_platform.launching.boxes import plan
from forecast_platform.launching.execution import Outcome, execute_chain
from forecast_platform.launching.instance import add_regions, open_instance, prepare_home
from forecast_platform.launching.workers import Progress, _Watch
from forecast_platform.partitions import backfill_policy, region_weeks, region_weeks_of
from forecast_platform.settings import Settings

ORDER = ["west", "north", "east", "south"]
WEEKS = list(pd.date_range("2024-01-01", periods=2, freq="W-MON"))


@dg.asset(group_name="raw", partitions_def=region_weeks, backfill_policy=backfill_policy)
def raw_shipments(context: dg.AssetExecutionContext) -> None:
    if any(key.region == "north" for key in region_weeks_of(context)):
        raise BadFile("shipments.csv, row 7: units_shipped is 'many'")
    if any(key.region == "south" for key in region_weeks_of(context)):
        raise dg.Failure("no file was delivered", allow_retries=False)


@dg.asset(
    group_name="training",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=[raw_shipments],
)
def trained_ensembles(context: dg.AssetExecutionContext) -> None:
    if region_weeks_of(context)[0].key == "east|2024-01-08":
        raise HistoryTooShort("east has 1 week of history, 26 are needed")


@dg.asset_check(asset=raw_shipments, partitions_def=region_weeks)
def has_rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    region = region_weeks_of(context)[0].region
    return dg.AssetCheckResult(passed=region != "east", description=f"no rows in {region}")


@pytest.fixture
def dagster_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    definitions = dg.Definitions(
        assets=[raw_shipments, trained_ensembles],
        asset_checks=[has_rows],
        jobs=[weekly_forecast, condition_data],
        executor=dg.in_process_executor,
    )
    stub = SimpleNamespace(defs=definitions)
    monkeypatch.setitem(sys.modules, "forecast_platform.definitions", stub)
    settings = Settings(home=home)
    with open_instance(settings) as instance:
        add_regions(instance, ORDER)
    return str(prepare_home(settings))


def run(dagster_home: str, regions: list[str], groups: list[str]) -> dict[str, Outcome]:
    (chain,) = plan(ORDER, regions, WEEKS, groups)
    return {outcome.box.label: outcome for outcome in execute_chain(chain, dagster_home)}


def test_one_bad_region_does_not_stop_the_others_and_is_not_trained(dagster_home: str) -> None:
    ended = run(dagster_home, ["west", "north"], ["raw", "training"])

    assert {label: outcome.succeeded for label, outcome in ended.items()} == {
        "west 2024-01-01..2024-01-08": True,
        "north 2024-01-01..2024-01-08": False,
        "west 2024-01-01": True,
        "north 2024-01-01": False,
        "west 2024-01-08": True,
        "north 2024-01-08": False,
    }
    assert "data of this region failed" in ended["north 2024-01-01"].failures[0].message


def test_a_failure_names_the_asset_and_its_first_cause(dagster_home: str) -> None:
    ended = run(dagster_home, ["north"], ["raw"])

    (problem,) = ended["north 2024-01-01..2024-01-08"].failures
    assert problem.where == "raw_shipments"
    assert problem.message == "BadFile: shipments.csv, row 7: units_shipped is 'many'"


def test_a_failure_that_says_what_is_wrong_is_told_in_its_own_words(dagster_home: str) -> None:
    ended = run(dagster_home, ["south"], ["raw"])

    (problem,) = ended["south 2024-01-01..2024-01-08"].failures
    assert problem.message == "no file was delivered"


def test_progress_tells_a_run_that_failed_from_one_that_finished(dagster_home: str) -> None:
    chains = plan(ORDER, ["north", "west"], WEEKS, ["raw"], chains=2)
    for chain in chains:
        execute_chain(chain, dagster_home)
    seen: list[Progress] = []

    with dg.DagsterInstance.from_config(dagster_home) as instance:
        _Watch(instance, [box for chain in chains for box in chain], seen.append).look()

    ended = {one.box.regions: one.has_failed for one in seen if one.is_finished}
    assert ended == {("north",): True, ("west",): False}


def test_a_failed_week_does_not_stop_the_other_weeks(dagster_home: str) -> None:
    ended = run(dagster_home, ["east"], ["training"])

    assert [outcome.succeeded for outcome in ended.values()] == [True, False]


def test_a_check_that_did_not_pass_is_told_apart_from_a_failure(dagster_home: str) -> None:
    (outcome,) = run(dagster_home, ["east"], ["raw"]).values()

    assert outcome.succeeded
    assert outcome.failures == []
    assert [(one.where, one.message) for one in outcome.warnings] == [
        ("raw_shipments: has_rows", "no rows in east")
    ]


def test_every_region_week_of_a_box_is_recorded(dagster_home: str) -> None:
    run(dagster_home, ["west"], ["raw"])

    with dg.DagsterInstance.from_config(dagster_home) as instance:
        done = instance.get_materialized_partitions(dg.AssetKey("raw_shipments"))
    assert done == {"west|2024-01-01", "west|2024-01-08"}
