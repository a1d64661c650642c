import pandas as pd
import pandera.errors
import pytest

from forecast_platform.schemas.conditioned import (
    MARTS,
    WeeklyDemand,
    WeeklyEvents,
    WeeklyWeather,
)

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
        "is_reported": True,
        "is_stock_out_likely": False,
        "is_outlier": False,
        "known_on": MONDAY + pd.Timedelta(days=6),
    }
    return frame_of(row | changed)


def frame_of(row: dict) -> pd.DataFrame:
    return pd.DataFrame([row]).astype(dict.fromkeys(["week", "ds", "known_on"], "datetime64[us]"))


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
        "known_on": MONDAY,
    }
    return frame_of(row | changed)


def weather(**changed: object) -> pd.DataFrame:
    row = {
        "region": "north",
        "week": MONDAY,
        "ds": MONDAY + pd.Timedelta(weeks=1),
        "h": 1,
        "zip": "75001",
        "origin": "forecast",
        "temperature_c": 8.0,
        "temperature_min_c": 5.0,
        "temperature_max_c": 9.0,
        "precipitation_mm": 3.0,
        "snow_cm": 0.0,
        "n_days": 5,
        "n_days_filled": 2,
        "known_on": MONDAY + pd.Timedelta(days=6),
    }
    return frame_of(row | changed)


def test_rows_as_dbt_makes_them_satisfy_the_contracts() -> None:
    WeeklyDemand.validate(demand())
    WeeklyDemand.validate(demand(ds=MONDAY - pd.Timedelta(weeks=3)))
    WeeklyEvents.validate(events())
    WeeklyWeather.validate(weather())


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        pytest.param({"y": 4.0}, "y_is_net_demand", id="not-net"),
        pytest.param({"units_returned": 9.0, "y": -4.0}, "greater_than_or_equal", id="negative"),
        pytest.param({"ds": MONDAY + pd.Timedelta(weeks=1)}, "ds_has_come", id="later-week"),
        pytest.param(
            {"ds": MONDAY - pd.Timedelta(weeks=1), "is_reported": False},
            "correction_is_reported",
            id="correction-of-nothing",
        ),
        pytest.param(
            {"known_on": MONDAY + pd.Timedelta(days=7)},
            "is_known_by_the_close_of_the_week",
            id="known-too-late",
        ),
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


@pytest.mark.parametrize(
    "changed", [{"n_days": 4}, {"origin": "guess"}, {"n_days_filled": 8}], ids=str
)
def test_weather_that_breaks_its_contract_is_refused(changed: dict) -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        WeeklyWeather.validate(weather(**changed), lazy=True)


def test_series_is_in_a_week_only_once() -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        WeeklyDemand.validate(pd.concat([demand(), demand()], ignore_index=True), lazy=True)


@pytest.mark.parametrize("name", sorted(MARTS))
def test_every_column_is_described_and_every_mart_has_a_key(name: str) -> None:
    schema = MARTS[name].to_schema()

    assert all(column.description for column in schema.columns.values())
    assert {"region"} <= set(schema.unique or [])
