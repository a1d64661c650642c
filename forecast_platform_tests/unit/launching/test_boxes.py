from itertools import product

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.automation.jobs import DATA_GROUPS, FORECAST_GROUPS
from forecast_platform.launching.boxes import MODEL_GROUPS, Box, plan

WEEKS = list(pd.date_range("2024-01-01", "2024-03-04", freq="W-MON"))
ORDER = ["west", "north", "east", "south", "islands"]


def covered(box: Box, order: list[str]) -> list[tuple[str, pd.Timestamp]]:
    """What Dagster runs for the box: a range in the order of registration times its weeks."""
    first, last = order.index(box.regions[0]), order.index(box.regions[-1])
    weeks = pd.date_range(box.first_week, box.last_week, freq="W-MON")
    return list(product(order[first : last + 1], weeks))


@given(
    wanted=st.sets(st.sampled_from(ORDER), min_size=1),
    n_weeks=st.integers(1, len(WEEKS)),
    chains=st.integers(1, 4),
    max_box=st.integers(1, 40),
)
def test_runs_cover_exactly_what_was_asked_once_per_stage(
    wanted: set[str], n_weeks: int, chains: int, max_box: int
) -> None:
    planned = plan(ORDER, wanted, WEEKS[:n_weeks], FORECAST_GROUPS, chains=chains, max_box=max_box)

    for group in FORECAST_GROUPS:
        done = [
            key
            for chain in planned
            for box in chain
            if group in box.groups
            for key in covered(box, ORDER)
        ]
        assert sorted(done) == sorted(product(wanted, WEEKS[:n_weeks]))


@given(wanted=st.sets(st.sampled_from(ORDER), min_size=1), chains=st.integers(1, 4))
def test_a_region_is_in_one_chain_only_its_data_before_its_models(
    wanted: set[str], chains: int
) -> None:
    planned = plan(ORDER, wanted, WEEKS, FORECAST_GROUPS, chains=chains)
    regions = [{name for box in chain for name in box.regions} for chain in planned]

    assert len(planned) <= chains
    assert sum(map(len, regions)) == len(wanted)
    for chain in planned:
        kinds = ["data" if set(box.groups) <= set(DATA_GROUPS) else "models" for box in chain]
        assert kinds == sorted(kinds)


def test_one_region_week_is_one_run_of_all_stages() -> None:
    assert [
        [box.groups for box in chain] for chain in plan(ORDER, ["east"], WEEKS[:1], FORECAST_GROUPS)
    ] == [[FORECAST_GROUPS]]


def test_models_run_one_region_week_at_a_time_in_order_of_weeks() -> None:
    (chain,) = plan(ORDER, ["west", "north"], WEEKS[:2], MODEL_GROUPS)

    assert [box.label for box in chain] == [
        "west 2024-01-01",
        "north 2024-01-01",
        "west 2024-01-08",
        "north 2024-01-08",
    ]


def test_the_range_tags_name_the_first_and_last_region_week() -> None:
    (box,) = plan(ORDER, ["west", "north"], WEEKS, DATA_GROUPS)[0]

    assert box.tags == {
        "dagster/asset_partition_range_start": "west|2024-01-01",
        "dagster/asset_partition_range_end": "north|2024-03-04",
    }
