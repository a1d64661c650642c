"""Planted faults of a source are found, tables tell of them, and too many refusals stop a week."""

import json
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.quality import quality_assets
from forecast_platform.assets.raw import raw_assets
from forecast_platform.checks.sources import source_checks
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.simulation import RetailerConfig, simulate

RETAILER = RetailerConfig(regions=("north",), stores_per_region=8, products=12, n_weeks=10)
WEEKS = list(pd.date_range(RETAILER.first_week, periods=10, freq="W-MON").as_unit("us"))
LAST = WEEKS[-1]


def edit(root: Path, source: str, change) -> None:
    file = root / source / "north" / f"{LAST:%Y-%m-%d}" / f"{source}.csv"
    rows = pd.read_csv(file, dtype=str)
    change(rows).to_csv(file, index=False)


def take(root: Path, lake: Lake, first: pd.Timestamp = WEEKS[0]) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        return dg.materialize(
            [*raw_assets, *quality_assets, *source_checks],
            instance=instance,
            resources={"landing": Landing(uri=str(root)), "lake": lake},
            tags={
                "dagster/asset_partition_range_start": f"north|{first:%Y-%m-%d}",
                "dagster/asset_partition_range_end": f"north|{LAST:%Y-%m-%d}",
            },
            raise_on_error=False,
        )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    simulate(RETAILER, tmp_path / "landing")
    return tmp_path / "landing"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"))


def test_planted_shifts_are_found_in_their_week_alone(root: Path, lake: Lake):
    edit(
        root,
        "weather",
        lambda rows: rows.assign(
            temperature_c=(rows["temperature_c"].astype(float) * 1.8 + 32).round(1)
        ),
    )
    edit(root, "shipments", lambda rows: rows[rows["store_id"] <= sorted(rows["store_id"])[15]])

    result = take(root, lake)

    assert result.success
    failed = {
        (one.asset_key.to_user_string(), one.check_name)
        for one in result.get_asset_check_evaluations()
        if not one.passed
    }
    assert ("raw_weather", "has_usual_values") in failed
    assert ("raw_shipments", "has_usual_stores") in failed
    verdicts = lake.read("quality_checks")
    wrong = verdicts[~verdicts["passed"]]
    assert set(zip(wrong["asset"], wrong["check_name"], strict=True)) == failed
    assert set(wrong["week"]) == {LAST}
    assert (wrong["value"] > wrong["limit"]).all()


def test_every_row_of_every_source_is_counted(root: Path, lake: Lake):
    assert take(root, lake).success

    counted = lake.read("quality_rows").set_index(["week", "source"])
    assert len(counted) == 10 * 8
    ledger = lake.read("row_ledger").groupby(["week", "source"])["rows_read"].sum()
    assert counted["rows_read"].sum() == ledger.sum()
    assert counted["rows_read"][ledger.index].tolist() == ledger.tolist()
    assert counted.loc[(LAST, "shipments"), "n_stores"] >= 4
    assert counted.loc[(LAST, "shipments"), "days_since_delivery"] == 0
    assert not lake.read("quality_checks")["passed"].eq(False).any()


def test_too_many_refusals_publish_nothing_and_lose_nothing(root: Path, lake: Lake):
    edit(root, "shipments", lambda rows: rows.assign(units_shipped="many"))

    result = take(root, lake, first=WEEKS[-2])

    (failure,) = result.get_step_failure_events()
    why = failure.step_failure_data.user_failure_data.description
    assert "max_refused_share" in why
    assert "unreadable in" in why
    assert "forecast-platform quarantine show --source shipments --region north" in why
    assert lake.weeks_of("raw_shipments", "north") == [WEEKS[-2]]
    refused = lake.read("quarantine", weeks=[LAST], where={"source": "shipments"})
    ledger = lake.read("row_ledger", weeks=[LAST], where={"source": "shipments"}).iloc[0]
    assert len(refused) == ledger["rows_quarantined"] == ledger["rows_read"]
    assert json.loads(ledger["reasons"]) == {"unreadable": len(refused)}
