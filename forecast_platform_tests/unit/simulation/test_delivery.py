"""Same seed, same bytes; more of one dimension leaves the rest as it was."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from forecast_platform.simulation import (
    RetailerConfig,
    default_regions,
    read_truth,
    simulate,
    simulate_weeks,
)

SMALL = RetailerConfig(
    seed=7, regions=default_regions(2), stores_per_region=4, products=5, n_weeks=14
)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("small")
    simulate(SMALL, folder / "landing", truth=folder / "truth")
    return _files(folder)


def test_the_same_seed_gives_the_same_bytes(small: dict[str, bytes], tmp_path: Path):
    simulate(SMALL, tmp_path / "landing", truth=tmp_path / "truth")
    assert _files(tmp_path) == small


def test_another_seed_gives_other_units(small: dict[str, bytes], tmp_path: Path):
    simulate(replace(SMALL, seed=8), tmp_path / "landing")
    name = "landing/shipments/north_texas/2023-01-09/shipments.csv"
    assert _files(tmp_path)[name] != small[name]


def test_a_region_does_not_depend_on_the_others(small: dict[str, bytes], tmp_path: Path):
    simulate(replace(SMALL, regions=("great_lakes", "south_texas")), tmp_path / "landing")
    alone = {k: v for k, v in _files(tmp_path).items() if "/south_texas/" in k}
    assert alone
    assert alone == {k: v for k, v in small.items() if "/south_texas/" in k and "truth" not in k}


def test_a_longer_simulation_extends_a_shorter_one(small: dict[str, bytes], tmp_path: Path):
    simulate(replace(SMALL, n_weeks=40), tmp_path / "landing", truth=tmp_path / "truth")
    longer = _files(tmp_path)
    assert len(longer) > len(small)
    assert {k: v for k, v in longer.items() if k in small} == small
    assert {k for k in longer if k not in small and _week(k) < "2023-04-10"} == set()


def _week(name: str) -> str:
    path = Path(name)
    return path.parent.name if path.suffix == ".csv" else path.stem


def test_weeks_delivered_in_parts_are_the_weeks_delivered_at_once(
    small: dict[str, bytes], tmp_path: Path
):
    parts = [
        ("2023-01-02", "2023-02-06"),
        ("2023-02-13", "2023-02-13"),
        ("2023-02-20", "2023-04-03"),
    ]
    for first, last in parts:
        simulate_weeks(
            SMALL,
            tmp_path / "landing",
            first=date.fromisoformat(first),
            last=date.fromisoformat(last),
            truth=tmp_path / "truth",
        )
    assert _files(tmp_path) == small


def test_files_are_complete_and_nothing_else_is_left(small: dict[str, bytes]):
    delivered = [name for name in small if name.startswith("landing")]
    assert all(name.endswith(".csv") and small[name].endswith(b"\n") for name in delivered)


def test_weekly_sources_have_a_file_in_every_region_week(small: dict[str, bytes]):
    for source in ("shipments", "returns", "weather", "promotions"):
        weeks = [name for name in small if name.startswith(f"landing/{source}/")]
        assert len(weeks) == 2 * 14


def test_snapshots_come_first_and_then_only_when_something_changed(small: dict[str, bytes]):
    for source in ("stores", "products", "shoppers", "events"):
        assert f"landing/{source}/north_texas/2023-01-02/{source}.csv" in small
    weeks = [name for name in small if name.startswith("landing/stores/")]
    assert len(weeks) == 2


def test_progress_counts_to_the_end(tmp_path: Path):
    told: list[tuple[int, int, str]] = []
    config = replace(SMALL, n_weeks=2)
    simulate(config, tmp_path, progress=lambda *step: told.append(step))
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert told[-1] == (4, 4, "south_texas 2023-01-09")


def test_the_report_counts_files_bytes_and_rows(tmp_path: Path):
    report = simulate(replace(SMALL, n_weeks=3), tmp_path)
    files = _files(tmp_path)
    assert report.files == len(files)
    assert report.size_bytes == sum(map(len, files.values()))
    rows = sum(v.count(b"\n") - 1 for k, v in files.items() if k.startswith("shipments"))
    assert report.rows["shipments"] == rows > 0


def test_the_truth_may_not_lie_where_a_model_could_read_it(tmp_path: Path):
    with pytest.raises(ValueError, match="must not lie in the landing"):
        simulate(SMALL, tmp_path, truth=tmp_path / "truth")


@pytest.mark.parametrize(
    ("first", "last"), [("2022-12-26", "2023-01-02"), ("2023-01-09", "2023-01-02")]
)
def test_weeks_out_of_order_are_refused(tmp_path: Path, first: str, last: str):
    with pytest.raises(ValueError, match="must be in order"):
        simulate_weeks(
            SMALL, tmp_path, first=date.fromisoformat(first), last=date.fromisoformat(last)
        )


def test_the_truth_is_read_by_region_and_since_a_week(tmp_path: Path):
    simulate(replace(SMALL, n_weeks=3), tmp_path / "l", truth=tmp_path / "t")
    truth = read_truth(tmp_path / "t", regions=["south_texas"], since=date(2023, 1, 9))
    assert set(truth["region"]) == {"south_texas"}
    assert truth["ds"].nunique() == 2
    with pytest.raises(FileNotFoundError, match="no truth"):
        read_truth(tmp_path / "t", since=date(2024, 1, 1))
