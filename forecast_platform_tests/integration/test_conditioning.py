"""A tiny retailer's raw tables, conditioned by the real dbt project over a real lake."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.conditioned import conditioned_marts
from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.conditioning import Conditioning
from forecast_platform.resources.conditioning_inputs import RAW_TABLES
from forecast_platform.resources.dbt_project import build_docs
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.conditioned import MARTS
from forecast_platform.vocabulary import SHOPPER_COLUMNS

pytestmark = pytest.mark.integration

WEEKS = list(pd.date_range("2024-03-04", periods=4, freq="7D").as_unit("us"))
W1, W2, W3, W4 = WEEKS
REGIONS = ("north", "south")
KEYS = [RegionWeek(region, week) for region in REGIONS for week in WEEKS]


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).as_unit("us")


def rows(week: pd.Timestamp, columns: Sequence[str], *values: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame([dict(zip(columns, one, strict=True)) for one in values]).assign(week=week)


def both(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The same rows in both regions, whose stores have other names."""
    rows = pd.concat(list(frames), ignore_index=True)
    parts = []
    for region in REGIONS:
        part = rows.assign(region=region)
        if "store_id" in part:
            part["store_id"] = region[0] + part["store_id"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def raw_tables() -> dict[str, pd.DataFrame]:
    """Store 1 closes in the third week; product b is shipped from the second week on."""
    shipped = ["store_id", "product_id", "units_shipped"]
    stores = ["store_id", "zip", "format", "opened_on", "closed_on"]
    events = ["event", "starts_on", "ends_on", "scope", "scope_id", "is_holiday"]
    plan = ["store_id", "product_id", "ds", "price", "feature", "display"]
    opened, never = day("2020-01-01"), pd.NaT
    return {
        "raw_shipments": both(
            [
                rows(W1, shipped, ("1", "a", 5), ("2", "a", 2)),
                rows(W2, shipped, ("1", "a", 4), ("1", "b", 1)),
                rows(W3, shipped, ("1", "b", 3)),
                rows(W4, shipped, ("2", "a", 7), ("2", "b", 0)),
            ]
        ),
        "raw_returns": both(
            [rows(W2, ["store_id", "product_id", "units_returned"], ("1", "b", 3))]
        ),
        "raw_weather": both(weather(week) for week in WEEKS),
        "raw_shoppers": both(
            [
                rows(W1, ["store_id", "as_of_on"], ("1", day("2023-01-01"))).assign(
                    **dict.fromkeys(SHOPPER_COLUMNS, 0.5)
                ),
                rows(W3, ["store_id", "as_of_on"], ("1", day("2024-03-01"))).assign(
                    **dict.fromkeys(SHOPPER_COLUMNS, 0.7)
                ),
            ]
        ),
        "raw_stores": both(
            [
                rows(
                    W1,
                    stores,
                    ("1", "z1", "large", opened, never),
                    ("2", "z2", "small", opened, never),
                ),
                rows(W2, stores, ("1", "z1", "large", opened, day("2024-03-20"))),
            ]
        ),
        "raw_products": both(
            [
                rows(
                    W1,
                    ["product_id", "category", "brand", "package_size", "launched_on"],
                    ("a", "juice", "ours", None, opened),
                    ("b", "juice", None, "1 l", opened),
                ).assign(delisted_on=never)
            ]
        ),
        "raw_events": both(
            [
                rows(
                    W1, events, ("easter", day("2024-03-29"), day("2024-04-01"), "region", "", True)
                ),
                rows(
                    W3, events, ("fair", day("2024-03-30"), day("2024-03-30"), "zip", "z2", False)
                ),
            ]
        ),
        "raw_promotions": both(
            [
                rows(W1, plan, ("1", "a", W2, 2.0, 0.0, 0.0), ("2", "a", W4, 2.0, 0.0, 0.0)),
                rows(W3, plan, ("2", "a", W4, 1.5, 1.0, 0.5)),
            ]
        ),
    }


def weather(week: pd.Timestamp) -> pd.DataFrame:
    days = [week + pd.Timedelta(days=n) for n in range(35)]
    sunday = days[6]
    return pd.DataFrame(
        {
            "zip": "z1",
            "day": days,
            "kind": ["observed"] * 7 + ["forecast"] * 28,
            "issued_on": days[:7] + [sunday] * 28,
            "temperature_c": [float(week.day + n) for n in range(35)],
            "precipitation_mm": 1.0,
            "snow_cm": 0.0,
            "week": week,
        }
    )


def fill(lake: Lake, tables: Mapping[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        lake.write(name, table, KEYS, run_id="landed", allow_empty=True)


def condition(
    lake: Lake,
    first: RegionWeek,
    last: RegionWeek | None = None,
    selection: Sequence[str] = (),
    *,
    conditioning: Conditioning | None = None,
) -> dg.ExecuteInProcessResult:
    """Run the asset for the box from ``first`` to ``last``, as the platform does."""
    job = dg.define_asset_job("condition", selection=list(selection) or [conditioned_marts])
    definitions = dg.Definitions(
        assets=[conditioned_marts],
        jobs=[job],
        resources={"lake": lake, "conditioning": conditioning or Conditioning()},
        executor=dg.in_process_executor,
    )
    box = {
        "dagster/asset_partition_range_start": first.key,
        "dagster/asset_partition_range_end": (last or first).key,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", list(REGIONS))
        return definitions.resolve_job_def("condition").execute_in_process(
            instance=instance, tags=box, raise_on_error=False
        )


def contents(lake: Lake) -> dict[str, pd.DataFrame]:
    """All marts, in order of their keys."""
    return {
        mart: lake.read(mart)
        .sort_values(MARTS[mart].to_schema().unique or [])
        .reset_index(drop=True)
        for mart in MARTS
        if lake.exists(mart)
    }


@pytest.fixture(scope="module")
def box_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dg.ExecuteInProcessResult]:
    lake = Lake(uri=str(tmp_path_factory.mktemp("box")))
    fill(lake, raw_tables())
    return lake, condition(lake, KEYS[0], KEYS[-1])


@pytest.fixture(scope="module")
def marts(box_run: tuple[Lake, dg.ExecuteInProcessResult]) -> dict[str, pd.DataFrame]:
    return contents(box_run[0])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(uri=str(tmp_path / "lake"))
    fill(lake, raw_tables())
    return lake


def test_box_of_regions_and_weeks_is_one_run_with_one_commit_for_each_mart(box_run) -> None:
    lake, run = box_run

    assert run.success
    assert all(run_ids(lake, mart) == [run.run_id] for mart in MARTS)
    assert len(run.asset_materializations_for_node("conditioned_marts")) == len(MARTS) * len(KEYS)


def run_ids(lake: Lake, mart: str) -> list[str]:
    return [entry["run_id"] for entry in lake.history(mart) if "run_id" in entry]


def test_weeks_built_one_by_one_equal_the_weeks_built_at_once(lake, marts) -> None:
    for week in WEEKS:
        assert condition(lake, RegionWeek("north", week), RegionWeek("south", week)).success

    one_by_one = contents(lake)
    assert one_by_one.keys() == marts.keys()
    for mart, expected in marts.items():
        pd.testing.assert_frame_equal(one_by_one[mart], expected, obj=mart)


def test_panel_has_a_row_for_every_series_of_an_open_store(marts) -> None:
    demand = marts["fct_weekly_demand"].query("region == 'north'")

    found = {(one.unique_id, one.ds): (one.y, one.is_filled) for one in demand.itertuples()}
    assert found == {
        ("n1/a", W1): (5, False),
        ("n2/a", W1): (2, False),
        ("n1/a", W2): (4, False),
        ("n1/b", W2): (0, False),
        ("n2/a", W2): (0, True),
        ("n1/a", W3): (0, True),
        ("n1/b", W3): (3, False),
        ("n2/a", W3): (0, True),
        ("n2/a", W4): (7, False),
    }


def test_series_are_noted_in_the_week_of_their_first_shipment(marts) -> None:
    series = marts["dim_series"].query("region == 'south'")

    assert dict(zip(series["unique_id"], series["week"], strict=True)) == {
        "s1/a": W1,
        "s2/a": W1,
        "s1/b": W2,
    }


def test_stores_and_shoppers_are_as_known_in_each_week(marts) -> None:
    store = marts["dim_stores"].query("store_id == 'n1'").set_index("week")

    assert store["closed_on"].isna().tolist() == [True, False, False, False]
    assert store["share_college"].tolist() == [0.5, 0.5, 0.7, 0.7]


def test_weather_ahead_is_the_forecast_issued_in_the_week(marts) -> None:
    weather = marts["fct_weekly_weather"].query("region == 'north' and zip == 'z1'")
    weather = weather.set_index(["week", "h"])

    assert weather.loc[(W1, 1), "temperature_c"] == W1.day + 10
    assert weather.loc[(W2, 0), "temperature_c"] == W2.day + 3
    assert (weather["n_days"] == 7).all()
    assert sorted(set(weather.index.get_level_values("h"))) == [0, 1, 2, 3, 4]


def test_events_are_those_delivered_by_the_week(marts) -> None:
    events = marts["fct_weekly_events"].query("store_id == 'n2' and ds == @W4")

    found = {one.week: (one.event, one.n_event_days, one.is_holiday) for one in events.itertuples()}
    assert found[W1] == ("easter", 3, True)
    assert found[W3] == ("easter", 3, True)


def test_prices_are_those_planned_by_the_week(marts) -> None:
    prices = marts["fct_weekly_prices"].query("unique_id == 'n2/a' and ds == @W4")

    assert dict(zip(prices["week"], prices["price"], strict=True)) == {
        W1: 2.0,
        W2: 2.0,
        W3: 1.5,
        W4: 1.5,
    }


def test_every_dbt_test_and_contract_of_a_mart_is_an_asset_check(box_run) -> None:
    _, run = box_run

    checks = run.get_asset_check_evaluations()

    assert all(check.passed for check in checks)
    names = {check.check_name for check in checks}
    assert names == {
        "has_a_unique_key",
        "covers_every_region_week",
        "holds_every_shipment",
        "satisfies_schema",
    }
    assert {check.asset_key.to_user_string() for check in checks} == set(MARTS)


def test_rows_of_each_region_week_are_in_the_metadata(box_run, marts) -> None:
    _, run = box_run

    noted = {
        event.partition: event.metadata["dagster/partition_row_count"].value
        for event in run.asset_materializations_for_node("conditioned_marts")
        if event.asset_key.to_user_string() == "fct_weekly_demand"
    }

    counted = marts["fct_weekly_demand"].groupby(["region", "week"]).size()
    assert noted == {key.key: counted[key.region, key.week] for key in KEYS}


def test_failing_dbt_test_publishes_nothing_and_shows_the_rows(lake: Lake) -> None:
    assert condition(lake, KEYS[0]).success
    before = {mart: lake.version(mart) for mart in MARTS}
    stores = raw_tables()["raw_stores"].query("week == @W1 and region == 'north'")
    twice = pd.concat([stores, stores])
    lake.write("raw_stores", twice, [KEYS[0]], run_id="twice")

    run = condition(lake, KEYS[0])

    assert not run.success
    assert {mart: lake.version(mart) for mart in MARTS} == before
    message = failure_of(run)
    assert "Nothing was published" in message
    assert "stg_lake__stores_has_a_unique_key" in message
    assert "n1" in message


def failure_of(run: dg.ExecuteInProcessResult) -> str:
    (failure,) = run.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    details = failure.step_failure_data.user_failure_data
    return f"{error} {details.description if details else ''}"


def test_rows_that_break_the_contract_are_not_published(lake: Lake) -> None:
    stores = raw_tables()["raw_stores"].query("week == @W1 and region == 'north'")
    lake.write("raw_stores", stores.assign(format="huge"), [KEYS[0]], run_id="huge")

    run = condition(lake, KEYS[0])

    assert not run.success
    assert contents(lake) == {}
    assert "huge" in failure_of(run)
    failed = [check for check in run.get_asset_check_evaluations() if not check.passed]
    assert [(check.asset_key.to_user_string(), check.check_name) for check in failed] == [
        ("dim_stores", "satisfies_schema")
    ]


def test_shipments_to_an_unknown_store_are_reported_and_the_run_goes_on(lake: Lake) -> None:
    shipments = raw_tables()["raw_shipments"].query("week == @W1 and region == 'north'")
    lake.write("raw_shipments", shipments.assign(store_id="n9"), [KEYS[0]], run_id="unknown")
    lake.write(
        "raw_shipments",
        pd.concat([shipments, shipments.assign(store_id="n9").head(1)]),
        [KEYS[0]],
        run_id="unknown",
    )

    run = condition(lake, KEYS[0])

    assert run.success
    (failed,) = [check for check in run.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "holds_every_shipment"
    assert failed.severity is dg.AssetCheckSeverity.WARN
    assert "n9" in failed.metadata["first_rows"].value


def test_mart_can_be_made_alone(lake: Lake) -> None:
    run = condition(lake, KEYS[0], selection=["fct_weekly_demand"])

    assert run.success
    assert set(contents(lake)) == {"fct_weekly_demand"}


def test_weeks_that_another_run_has_yet_to_condition_still_count(lake: Lake, marts) -> None:
    """A backfill of several runs may reach its later weeks first."""
    assert condition(lake, RegionWeek("north", W3), RegionWeek("south", W4)).success

    later = contents(lake)["fct_weekly_demand"]
    expected = marts["fct_weekly_demand"].query("week >= @W3").reset_index(drop=True)
    pd.testing.assert_frame_equal(later, expected)
    assert lake.read("dim_series").empty


def late(week: pd.Timestamp, ds: pd.Timestamp, column: str, *values: Sequence[Any]) -> pd.DataFrame:
    told = rows(week, ["store_id", "product_id", column], *values)
    return told.assign(ds=ds, known_on=week + pd.Timedelta(days=2))


def corrected_tables() -> dict[str, pd.DataFrame]:
    """Store 1 corrects the first week in the third; store 2 reports the second in the fourth."""
    tables = raw_tables()
    shipments = tables["raw_shipments"]
    tables["raw_shipments"] = pd.concat(
        [
            shipments.assign(ds=shipments["week"], known_on=shipments["week"]),
            both(
                [
                    late(W3, W1, "units_shipped", ("1", "a", 9), ("1", "b", 4)),
                    late(W4, W2, "units_shipped", ("2", "b", 6)),
                ]
            ),
        ]
    )
    returns = tables["raw_returns"]
    tables["raw_returns"] = pd.concat(
        [
            returns.assign(ds=returns["week"], known_on=returns["week"]),
            both([late(W4, W1, "units_returned", ("1", "a", 2))]),
        ]
    )
    return tables


def test_weeks_with_corrections_built_one_by_one_equal_those_built_at_once(tmp_path: Path) -> None:
    at_once, one_by_one = (Lake(uri=str(tmp_path / name)) for name in ("at_once", "one_by_one"))
    for lake in (at_once, one_by_one):
        fill(lake, corrected_tables())
    assert condition(at_once, KEYS[0], KEYS[-1]).success
    for week in WEEKS:
        assert condition(one_by_one, RegionWeek("north", week), RegionWeek("south", week)).success

    expected, found = contents(at_once), contents(one_by_one)

    for mart in MARTS:
        pd.testing.assert_frame_equal(found[mart], expected[mart], obj=mart)
    demand = expected["fct_weekly_demand"].query("region == 'north' and ds < week")
    told = {
        (one.week, one.ds, one.unique_id): (one.y, one.is_filled, one.known_on - one.week)
        for one in demand.itertuples()
    }
    tuesday, sunday = pd.Timedelta(days=2), pd.Timedelta(days=6)
    assert told == {
        (W3, W1, "n1/a"): (9, False, tuesday),
        (W3, W1, "n1/b"): (4, False, tuesday),
        (W4, W1, "n1/a"): (7, False, tuesday),
        (W4, W2, "n2/a"): (0, True, sunday),
        (W4, W2, "n2/b"): (6, False, tuesday),
    }
    assert demand["is_reported"].all()
    series = expected["dim_series"].query("unique_id == 'n1/b'")
    assert dict(zip(series["week"], series["first_week"], strict=True)) == {W2: W2, W3: W1}


def test_store_that_says_nothing_of_a_week_is_not_reported(marts) -> None:
    demand = marts["fct_weekly_demand"].query("region == 'north'")

    found = {(one.unique_id, one.ds): one.is_reported for one in demand.itertuples()}

    assert [key for key, is_reported in found.items() if not is_reported] == [
        ("n2/a", W2),
        ("n2/a", W3),
    ]


def test_zip_of_every_open_store_has_weather_for_each_week_ahead(marts) -> None:
    """Nothing is delivered for z2: it has what z1 had, and says so."""
    weather = marts["fct_weekly_weather"].query("region == 'north'")

    by_zip = {name: rows.reset_index(drop=True) for name, rows in weather.groupby("zip")}

    assert set(by_zip) == {"z1", "z2"}
    for column in ("week", "h", "origin", "temperature_c", "precipitation_mm", "known_on"):
        pd.testing.assert_series_equal(by_zip["z2"][column], by_zip["z1"][column])
    assert set(by_zip["z1"]["n_days_filled"]) == {0}
    assert set(by_zip["z2"]["n_days_filled"]) == {7}


def test_lost_forecast_is_the_older_one_and_then_what_is_usual(lake: Lake, marts) -> None:
    """From the third week on nobody forecasts; years ago it was ten degrees colder."""
    tables = raw_tables()
    observed = tables["raw_weather"].query("kind == 'observed' or week < @W3")
    years_ago = tables["raw_weather"].query("kind == 'observed'")
    days = pd.Timedelta(weeks=104)
    years_ago = pd.concat(
        years_ago.assign(
            **{name: years_ago[name] - days + ahead for name in ("week", "day", "issued_on")},
            temperature_c=years_ago["temperature_c"] - 10,
        )
        for ahead in (pd.Timedelta(0), pd.Timedelta(weeks=4))
    )
    weather = pd.concat([observed, years_ago])
    keys = {RegionWeek(one.region, one.week) for one in weather.itertuples()}
    lake.write("raw_weather", weather, keys, run_id="lost")

    assert condition(lake, KEYS[0], KEYS[-1]).success

    found = contents(lake)["fct_weekly_weather"].query("region == 'north' and zip == 'z1'")
    rows_of = found.set_index(["week", "h"])
    before = marts["fct_weekly_weather"].query("region == 'north' and zip == 'z1'")
    issued = before.set_index(["week", "h"])
    assert rows_of.loc[W3].loc[[0, 1, 2, 3], "origin"].tolist() == ["observed"] + ["forecast"] * 3
    assert rows_of.loc[(W3, 3), "temperature_c"] == issued.loc[(W2, 4), "temperature_c"]
    assert rows_of.loc[(W3, 3), "known_on"] == W2 + pd.Timedelta(days=6)
    assert rows_of.loc[(W3, 4), "origin"] == rows_of.loc[(W4, 4), "origin"] == "climatology"
    assert rows_of.loc[(W3, 4), "n_days_filled"] == 7
    assert rows_of.loc[(W3, 4), "temperature_c"] < rows_of.loc[(W3, 3), "temperature_c"]


def test_sources_never_delivered_leave_their_marts_empty(tmp_path: Path) -> None:
    lake = Lake(uri=str(tmp_path / "lake"))
    required = {name: raw_tables()[name] for name, raw in RAW_TABLES.items() if raw.is_required}
    fill(lake, required)

    assert condition(lake, KEYS[0]).success
    found = contents(lake)
    assert found["fct_weekly_prices"].empty
    assert found["dim_stores"][list(SHOPPER_COLUMNS)].isna().all(axis=None)
    assert set(found["fct_weekly_events"]["event"]) == {"none"}


def test_without_a_required_source_the_missing_table_is_named(tmp_path: Path) -> None:
    lake = Lake(uri=str(tmp_path / "lake"))

    with pytest.raises(TableMissing, match="raw_shipments"), Conditioning().build(lake, KEYS):
        pass


def test_dbt_unit_tests_pass(lake: Lake) -> None:
    with Conditioning().build(lake, KEYS, unit_tests=True) as built:
        assert not built.problems
        assert sum(test.unique_id.startswith("unit_test") for test in built.tests) >= 19


@pytest.mark.slow
def test_docs_are_one_page_with_every_mart_and_who_reads_it(tmp_path: Path) -> None:
    page = build_docs(tmp_path / "docs").read_text(encoding="utf-8")

    for name in (*MARTS, *RAW_TABLES, "is_stock_out_likely", "exposure.conditioning.forecasts"):
        assert name in page
    assert '"type": "DOUBLE"' in page.replace('":"', '": "')
