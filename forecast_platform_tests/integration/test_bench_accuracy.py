"""The accuracy benchmark on a panel of nobody's, small enough for every run of the tests."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import ablation, datasets, peers, report
from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.folds import Fold, Prepared
from forecast_platform.vocabulary import NUMERIC_FEATURES
from forecast_platform_tests.oracles.backtest import a_demand

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CONFIG = """
store_id: shop
product_id: item
category: kind
price: shelf_price
feature: leaflet
known_ahead: [temperature]
static: [floor_space]
gap: 1
horizon: 2
n_folds: 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A panel of sixteen series with columns under names of its own."""
    folder = tmp_path_factory.mktemp("panel")
    demand = a_demand(4, 4, 60)
    rng = np.random.default_rng(0)
    table = demand[["unique_id", "ds", "y"]].assign(
        shop=demand["store_id"],
        item=demand["product_id"],
        kind="drinks",
        shelf_price=2.0 * (1 - demand["discount"]),
        leaflet=(demand["discount"] > 0).astype(int),
        temperature=rng.normal(15, 5, len(demand)),
        floor_space=demand["store_id"].str[1:].astype(float),
    )
    table[rng.random(len(table)) < 0.97].to_csv(folder / "panel.csv", index=False)
    (folder / "panel.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepared:
    return Prepared.of(datasets.panel(folder / "panel.csv", folder / "panel.yaml"))


@pytest.fixture(scope="module")
def first_fold(prepared: Prepared) -> Fold:
    return next(iter(prepared.folds()))


def test_one_command_reports_every_model_on_the_same_rows(folder: Path) -> None:
    out = folder / "report"

    main(
        [
            *("--panel", str(folder / "panel.csv"), "--config", str(folder / "panel.yaml")),
            *("--models", "ensemble", "seasonal_naive", "--out", str(out)),
        ]
    )

    measured = json.loads((out / "report.json").read_text(encoding="utf-8"))["panel"]
    scores = {row["model"]: row for row in measured["scores"]}
    assert set(scores) == {"ensemble", "lasso", "net", "historical_average", "seasonal_naive"}
    assert len({row["n_rows"] for row in scores.values()}) == 1
    assert scores["ensemble"]["mape"] < 0.9 * scores["seasonal_naive"]["mape"]
    assert scores["ensemble"]["train_seconds"] > 0
    assert scores["ensemble"]["peak_mib"] > 50
    ranges = measured["range"]
    assert ranges["all"]["width"] > 0
    assert ranges["all"]["pinball"] > 0
    each = [fold["coverage_80"] for fold in ranges["folds"]]
    assert len(each) == 2
    assert min(each) - 1e-9 <= ranges["all"]["coverage_80"] <= max(each) + 1e-9
    table = (out / "report.md").read_text(encoding="utf-8")
    assert f"{100 * ranges['all']['coverage_80']:.1f} %" in table
    assert "| model" in table
    assert f"{100 * scores['lasso']['mape']:.2f}" in table
    assert (out / "panel.svg").stat().st_size > 1000


def test_a_fold_knows_its_cutoff_and_nothing_later(prepared: Prepared) -> None:
    for fold in prepared.folds():
        assert fold.train["ds"].max() <= fold.cutoff
        assert fold.demand["ds"].max() <= fold.cutoff
        assert (fold.test["week"] == fold.cutoff).all()
        assert "y" not in fold.test
        assert set(fold.test["h"]) == {2, 3}
        assert fold.extra == ("panel_temperature", "panel_floor_space")


@pytest.mark.parametrize(
    ("family", "library"),
    [
        (peers.seasonal_naive, "pandas"),
        (peers.geometric_average, "pandas"),
        (peers.auto_ets, "statsforecast"),
        (peers.lightgbm_mape, "lightgbm"),
        (peers.lightgbm_l1, "lightgbm"),
        (peers.lightgbm_l2, "lightgbm"),
        (peers.catboost_mape, "catboost"),
        (peers.mlforecast_lightgbm, "mlforecast"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_each_peer_is_a_sane_competitor(first_fold: Fold, family, library: str, prepared) -> None:
    pytest.importorskip(library)

    done = family(first_fold)

    forecasts = done.table.iloc[:, 0]
    assert len(forecasts) == len(first_fold.test)
    assert np.isfinite(forecasts).all()
    assert (forecasts >= 0).all()
    actual = first_fold.test.merge(prepared.actuals(), on=["unique_id", "ds"], how="left")["y"]
    level = first_fold.demand["y"].mean()
    rows = actual.notna()
    assert np.abs(forecasts[rows] - actual[rows]).mean() < level


def forecasts_of(noise: float, *, seed: int = 0) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(seed)
    for cutoff in pd.date_range("2024-01-01", periods=6, freq="W-MON"):
        for series in range(20):
            y = float(rng.uniform(50, 150))
            ours, other = y * (1 + rng.normal(0, 0.2)), y * (1 + rng.normal(0, 0.2 + noise))
            yield {"cutoff": cutoff, "unique_id": series, "y": y, "ours": ours, "other": other}


def test_the_paired_test_sees_a_difference_where_there_is_one() -> None:
    better = report.paired(pd.DataFrame(forecasts_of(0.3)), "ours", "other")
    alike = report.paired(pd.DataFrame(forecasts_of(0.0)), "ours", "other")

    assert better["high"] < 0
    assert better["p"] < 0.01
    assert alike["low"] < 0 < alike["high"]


def test_a_panel_with_an_unknown_key_is_refused(folder: Path) -> None:
    wrong = folder / "wrong.yaml"
    wrong.write_text("horizon: 2\nprize: shelf_price\n", encoding="utf-8")

    with pytest.raises(ValueError, match="prize"):
        datasets.panel(folder / "panel.csv", wrong)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"horizon: 2": "horizon: two"}, "horizon must be a whole number"),
        ({"horizon: 2": "horizont: 2"}, "unknown keys horizont; there are"),
        ({"price: shelf_price": "price: shelf"}, "no columns shelf, .* the file has"),
        ({"price: shelf_price": "price: kind"}, "kind must be numbers"),
        ({"n_folds: 2": "n_folds: 30"}, "take fewer folds"),
    ],
)
def test_a_wrong_description_of_a_panel_is_told(
    folder: Path, tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    text = CONFIG
    for before, after in changed.items():
        text = text.replace(before, after)
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        datasets.panel(folder / "panel.csv", tmp_path / "wrong.yaml")


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (4, "kind", None, r"row 5 below the header: kind is missing .* in 1 of \d+ rows"),
        (7, "ds", "7.2.22x", "row 8 below the header: ds is not a date"),
        (0, "y", float("inf"), "row 1 below the header: y is infinite"),
        (2, "shelf_price", float("inf"), "row 3 below the header: shelf_price is infinite"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(
    folder: Path, tmp_path: Path, row: int, column: str, value: object, message: str
) -> None:
    table = pd.read_csv(folder / "panel.csv").astype({column: object})
    table.loc[row, column] = value
    table.to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "panel.yaml").write_text(CONFIG, encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        datasets.panel(tmp_path / "panel.csv", tmp_path / "panel.yaml")


def test_a_second_row_of_a_series_and_week_is_named(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "panel.csv")
    pd.concat([table, table.tail(1)]).to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "panel.yaml").write_text(CONFIG, encoding="utf-8")

    with pytest.raises(ValueError, match=f"row {len(table) + 1} below the header: a second row of"):
        datasets.panel(tmp_path / "panel.csv", tmp_path / "panel.yaml")


def test_negative_values_of_a_panel_are_counted_in_the_report(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "panel.csv")
    table.loc[[3, 5], "y"] = -4
    table.to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "panel.yaml").write_text(CONFIG, encoding="utf-8")

    told = datasets.panel(tmp_path / "panel.csv", tmp_path / "panel.yaml").about

    assert "2 negative values of y count as 0" in told


def test_every_column_belongs_to_at_most_one_family_that_is_left_out() -> None:
    columns = [name for family in ablation.FAMILIES for name in ablation.columns_of(family)]

    assert len(columns) == len(set(columns))
    assert set(NUMERIC_FEATURES) - set(columns) == {"base_level", "is_large_format", "weeks_ahead"}
