"""Corrections and gaps of demand on their way into features and models: as they were known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.featuring import make_features
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.region_training import read_inputs, train_at
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform_tests.marts import weeks_from, write_marts

REGION, N_WEEKS = "north", 40
WEEKS = weeks_from(N_WEEKS)
ABOUT, TOLD = 24, 30
"""Numbers of the corrected week, and of the week in which the correction was delivered."""

SETTINGS = ModelSettings(epochs=1)


def correct(lake: Lake, about: int, told: int, factor: float = 3.0) -> None:
    """Deliver a correction of one week inside a later week's partition."""
    own = lake.read("fct_weekly_demand", region=REGION, weeks=[WEEKS[told]])
    old = lake.read("fct_weekly_demand", region=REGION, weeks=[WEEKS[about]])
    corrected = old.assign(week=WEEKS[told], y=old["y"] * factor, units_shipped=0)
    rows = pd.concat([own, corrected]).assign(is_reported=True)
    lake.write("fct_weekly_demand", rows, [RegionWeek(REGION, WEEKS[told])], run_id="test")


def silence(lake: Lake, week: int, store: str) -> None:
    """Let a store deliver nothing of one week."""
    own = lake.read("fct_weekly_demand", region=REGION, weeks=[WEEKS[week]])
    silent = own["store_id"] == store
    rows = own.assign(y=own["y"].mask(silent, 0.0), is_reported=~silent)
    lake.write("fct_weekly_demand", rows, [RegionWeek(REGION, WEEKS[week])], run_id="test")


@pytest.fixture
def lakes(tmp_path: Path) -> tuple[Lake, Lake]:
    """A region, and the same with a correction that was told later."""
    pair = tuple(Lake(uri=str(tmp_path / name)) for name in ("plain", "corrected"))
    for lake in pair:
        write_marts(lake, REGION, WEEKS)
    correct(pair[1], ABOUT, TOLD)
    return pair[0], pair[1]


def features(lake: Lake, *weeks: int) -> pd.DataFrame:
    return make_features(Snapshot(lake), REGION, [WEEKS[week] for week in weeks], 4)


def test_features_of_a_range_are_those_of_each_week_alone(lakes: tuple[Lake, Lake]) -> None:
    silence(lakes[1], 20, "no1")
    span = range(18, 34)

    at_once = features(lakes[1], *span)

    alone = pd.concat([features(lakes[1], week) for week in span], ignore_index=True)
    pd.testing.assert_frame_equal(at_once, alone, check_exact=True)


def test_features_see_a_correction_from_the_week_of_its_delivery_on(
    lakes: tuple[Lake, Lake],
) -> None:
    plain, corrected = (features(lake, *range(ABOUT, TOLD + 2)) for lake in lakes)

    before = plain["week"] < WEEKS[TOLD]
    pd.testing.assert_frame_equal(plain[before], corrected[before], check_exact=True)
    differs = (plain["lag_7"] != corrected["lag_7"]) | (plain["mean_8"] != corrected["mean_8"])
    assert differs[~before].all()


def test_master_data_of_a_week_that_has_none_are_those_of_the_week_before(
    lakes: tuple[Lake, Lake],
) -> None:
    week, before = (RegionWeek(REGION, WEEKS[n]) for n in (TOLD, TOLD - 1))
    for table, column in (("dim_stores", "zip"), ("dim_products", "brand")):
        rows = lakes[0].read(table, region=REGION, weeks=[before.week])
        lakes[0].write(table, rows.assign(**{column: "75002"}), [before], run_id="test")
        lakes[0].write(table, rows.iloc[:0], [week], run_id="test", allow_empty=True)

    made = features(lakes[0], TOLD - 2, TOLD)

    told = made.groupby("week")["brand"].unique().map(list)
    assert told.to_dict() == {WEEKS[TOLD - 2]: ["ours"], WEEKS[TOLD]: ["75002"]}


def test_a_week_without_reports_is_a_gap_to_the_features_not_a_zero(
    lakes: tuple[Lake, Lake],
) -> None:
    silence(lakes[1], ABOUT + 1, "no1")

    before, after = (features(lake, ABOUT + 3).set_index(["unique_id", "h"]) for lake in lakes)

    touched = after["store_id"] == "no1"
    assert (after["zero_share_13"] == before["zero_share_13"]).all()
    assert (after.loc[touched, "lag_2"] != before.loc[touched, "lag_2"]).all()
    assert np.isfinite(after.select_dtypes("number")).all().all()


def test_models_learn_from_a_correction_from_the_week_of_its_delivery_on(
    lakes: tuple[Lake, Lake],
) -> None:
    for lake in lakes:  # the same features everywhere: only the labels differ
        rows = features(lakes[0], *range(N_WEEKS))
        keys = [RegionWeek(REGION, week) for week in WEEKS]
        lake.write("demand_features", rows, keys, run_id="test")
    told_at, before = (RegionWeek(REGION, WEEKS[number]) for number in (TOLD + 6, TOLD - 1))

    models = {
        (name, key.week): train_at(
            key,
            read_inputs(Snapshot(lake), REGION, [before.week, told_at.week], SETTINGS),
            SETTINGS,
        )
        for name, lake in zip(("plain", "corrected"), lakes, strict=True)
        for key in (before, told_at)
    }

    for week, is_same in ((before.week, True), (told_at.week, False)):
        plain, corrected = (models[name, week] for name in ("plain", "corrected"))
        averages = [
            one.baselines["large"].predict(
                features(lakes[0], N_WEEKS - 1).query("format == 'large'")
            )
            for one in (plain, corrected)
        ]
        assert np.array_equal(*averages) is is_same
    # a correction replaces its row: nothing is counted twice
    known = read_inputs(Snapshot(lakes[1]), REGION, [told_at.week], SETTINGS).demand
    assert not known.known_at(told_at.week).duplicated(["unique_id", "ds"]).any()
