import pandas as pd
import pandera.errors
import pytest

from forecast_platform.schemas.conditioned import MARTS, WeeklyDemand, WeeklyEvents

MONDAY = pd.Timestamp("2024-03-04").as_unit("us")


def demand(**changed: object) -> pd.DataFrame:
    row = {
        "region": "north",
        "week": MONDAY,
        "ds": MONDAY,
        "unique_id": "1/a",
        "store_id": "1",
        "product_id": "a",
        "units_shipped": 5.0,
        "units_returned": 2.0,
        "y": 3.0,
        "is_filled": False,
    }
    return pd.DataFrame([row | changed]).astype({"week": "datetime64[us]", "ds": "datetime64[us]"})


def events(**changed: object) -> pd.DataFrame:
    row = {
        "region": "north",
        "week": MONDAY,
        "ds": MONDAY + pd.Timedelta(weeks=2),
        "h": 2,
        "store_id": "1",
        "event": "none",
        "n_event_days": 0,
        "is_holiday": False,
    }
    return pd.DataFrame([row | changed]).astype({"week": "datetime64[us]", "ds": "datetime64[us]"})


def test_rows_as_dbt_makes_them_satisfy_the_contracts() -> None:
    WeeklyDemand.validate(demand())
    WeeklyEvents.validate(events())


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        pytest.param({"y": 4.0}, "y_is_net_demand", id="not-net"),
        pytest.param({"units_returned": 9.0, "y": -4.0}, "greater_than_or_equal", id="negative"),
        pytest.param({"ds": MONDAY + pd.Timedelta(weeks=1)}, "ds_is_the_week", id="other-week"),
        pytest.param({"unique_id": "1a"}, "str_matches", id="no-series"),
        pytest.param(
            {"week": MONDAY + pd.Timedelta(days=1), "ds": MONDAY + pd.Timedelta(days=1)},
            "week_opens_on_monday",
            id="tuesday",
        ),
        pytest.param({"price": 1.0}, "column_in_schema", id="another-column"),
    ],
)
def test_demand_that_breaks_its_contract_is_refused(changed: dict, check: str) -> None:
    with pytest.raises(pandera.errors.SchemaErrors) as refused:
        WeeklyDemand.validate(demand(**changed), lazy=True)

    assert check in " ".join(refused.value.failure_cases["check"].astype(str))


@pytest.mark.parametrize(
    "changed", [{"h": 3}, {"h": 6}, {"n_event_days": 8}], ids=["other-h", "too-far", "long-week"]
)
def test_events_that_break_their_contract_are_refused(changed: dict) -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        WeeklyEvents.validate(events(**changed), lazy=True)


def test_series_is_in_a_week_only_once() -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        WeeklyDemand.validate(pd.concat([demand(), demand()], ignore_index=True), lazy=True)


@pytest.mark.parametrize("name", sorted(MARTS))
def test_every_column_is_described_and_every_mart_has_a_key(name: str) -> None:
    schema = MARTS[name].to_schema()

    assert all(column.description for column in schema.columns.values())
    assert {"region"} <= set(schema.unique or [])
