"""Each wart does what its description says, and nothing else."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.simulation import (
    WARTS,
    RetailerConfig,
    SimulationReport,
    default_regions,
    simulate,
    simulate_weeks,
)

CONFIG = RetailerConfig(
    seed=2, regions=default_regions(2), stores_per_region=4, products=5, n_weeks=11
)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.csv")}


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("right")
    simulate(CONFIG, folder)
    return _files(folder)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationReport]:
    folder = tmp_path_factory.mktemp("spoiled")
    return folder, simulate(CONFIG, folder, warts=set(WARTS))


def _file(wart: str) -> str:
    week = CONFIG.first_week + timedelta(weeks=WARTS[wart].week_index)
    source = WARTS[wart].source
    return f"{source}/north_texas/{week}/{source}.csv"


def _both(
    wart: str, right: dict[str, bytes], spoiled: tuple[Path, SimulationReport]
) -> tuple[list[str], list[str]]:
    name = _file(wart)
    return right[name].decode().splitlines(), (spoiled[0] / name).read_text().splitlines()


def test_warts_lie_in_weeks_of_their_own_and_leave_the_rest_alone(right, spoiled):
    after = _files(spoiled[0])
    changed = {name for name in right if after.get(name) != right[name]}
    assert changed == {_file(wart) for wart in WARTS}
    assert len(set(map(_file, WARTS))) == len(WARTS)


def test_the_report_tells_every_wart_with_its_place(spoiled):
    folder, report = spoiled
    assert [record.wart for record in report.warts] == list(WARTS)
    assert all(record.rows > 0 for record in report.warts)
    assert {r.wart for r in report.warts if not (folder / r.path).exists()} == {"missing_week"}


def test_missing_week_has_no_file(spoiled):
    assert not (spoiled[0] / _file("missing_week")).parent.exists()


def test_duplicate_rows_repeat_a_third(right, spoiled):
    before, after = _both("duplicate_rows", right, spoiled)
    assert after == before + before[1::3]


def test_late_correction_puts_a_wrong_file_right(right, spoiled):
    before, after = _both("late_correction", right, spoiled)
    wrong = spoiled[0] / _file("late_correction")
    correction = wrong.with_name("shipments_correction_1.csv")
    key = ["store_id", "product_id", "week"]
    rows = pd.concat([pd.read_csv(wrong), pd.read_csv(correction)])
    mended = rows.drop_duplicates(key, keep="last").sort_values(key).to_csv(index=False)
    assert after != before
    assert mended.splitlines() == before
    assert correction.name > wrong.name


def test_unknown_store_adds_rows_of_a_store_nobody_knows(right, spoiled):
    before, after = _both("unknown_store", right, spoiled)
    assert after[: len(before)] == before
    assert [line.split(",")[0] for line in after[len(before) :]] == ["XX00-9999"] * 2


def test_negative_units_are_the_right_ones_with_a_sign(right, spoiled):
    before, after = _both("negative_units", right, spoiled)
    assert [line.replace(",-", ",") for line in after] == before
    assert sum(",-" in line for line in after) == 3


def test_renamed_column_changes_the_header_only(right, spoiled):
    before, after = _both("renamed_column", right, spoiled)
    assert after[0] == "store_id,product_id,week,qty_shipped"
    assert after[1:] == before[1:]


def test_truncated_file_ends_in_a_row(right, spoiled):
    before, after = _both("truncated_file", right, spoiled)
    assert len(after) == len(before) - 4
    assert before[len(after) - 1].startswith(after[-1])
    assert before[len(after) - 1] != after[-1]


def test_unreadable_units_are_no_whole_numbers(right, spoiled):
    before, after = _both("unreadable_units", right, spoiled)
    assert [line.rsplit(",", 1)[1] for line in after[1:5]] == ["1_000", "inf", "12.5", "n/a"]
    assert after[5:] == before[5:]


def test_warts_come_with_their_week_when_weeks_are_delivered_one_by_one(spoiled, tmp_path: Path):
    for index in range(CONFIG.n_weeks):
        week = CONFIG.first_week + timedelta(weeks=index)
        simulate_weeks(CONFIG, tmp_path, first=week, last=week, warts=set(WARTS))
    assert _files(tmp_path) == _files(spoiled[0])


def test_an_unknown_wart_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match="no such wart: mole; there are missing_week"):
        simulate(CONFIG, tmp_path, warts=["mole"])
    assert list(tmp_path.iterdir()) == []
