"""The speed benchmark at a size that every run of the tests can pay; no time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.memory import STATUS, peak_mib
from benchmarks.speed import features, models, report, segments
from benchmarks.speed.__main__ import main

pytestmark = [pytest.mark.integration, pytest.mark.slow]

N_ROWS = 800


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    segments.write(folder, N_ROWS)
    return folder


def test_rows_come_back_in_the_form_of_training(folder: Path) -> None:
    rows = segments.read(folder, N_ROWS)

    assert len(rows) == N_ROWS
    assert rows["y"].notna().all()
    assert set(rows["segment"]) == {"large_fast"}


@pytest.mark.parametrize("name", ["lasso", "net"])
def test_a_model_is_measured_beside_bare_products(folder: Path, name: str) -> None:
    found = models.measure(name, folder, N_ROWS, N_ROWS)

    floor = {"lasso": "gram_seconds", "net": "bare_seconds"}[name]
    assert found["train_seconds"] > found[floor] > 0
    assert found["score_rows_per_second"] > 0


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a program's own peak")
def test_the_memory_of_a_process_is_not_that_of_the_one_which_started_it() -> None:
    held = np.ones(30_000_000)  # 229 MiB
    told = "from benchmarks.memory import peak_mib; print(peak_mib())"

    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)

    assert peak_mib() > held.nbytes / 2**20
    assert 1 < float(found.stdout) < 100


def test_features_are_measured_from_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(features.SIZES, "features from the lake", features.Size(4, 3, 12, 2))

    found = features.measure("features from the lake", 1)

    assert found["rows"] == 4 * 3 * 2 * 4
    assert found["rows_per_second"] > 0


def test_one_measurement_runs_as_a_process_of_its_own(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    models_warm, models.WARM_ROWS = models.WARM_ROWS, N_ROWS
    try:
        asked = ["--one", "lasso", "--folder", str(folder), "--rows", str(N_ROWS)]
        main([*asked, "--out", str(out)])
    finally:
        models.WARM_ROWS = models_warm

    assert json.loads(out.read_text(encoding="utf-8"))["model"] == "lasso"


def test_the_report_says_which_goals_are_missed(tmp_path: Path) -> None:
    a_feature = {
        "name": "features, one cutoff",
        "series": 8,
        "history_weeks": 9,
        "cutoffs": 1,
        "rows": 32,
        "seconds": 1.0,
        "rows_per_second": 32.0,
        "history_rows_per_second": 72.0,
    }
    a_model = {
        "train_rows_per_second": 1e6,
        "score_rows_per_second": 1e6,
        "peak_mib": 2.0,
        "peak_ratio": 2.0,
        "row_epochs_per_second": 3e5,
        "over_bare": 2.0,
        "path_seconds": 0.1,
        "path_goal_seconds": 0.2,
    }
    measured = [
        {**a_model, "model": name, "rows": rows, "train_seconds": seconds}
        for name, factor in (("lasso", 1), ("net", 2), ("ensemble", 3), ("lightgbm", 4))
        for rows, seconds in ((100, factor), (1000, 20 * factor))
    ]

    text = report.write([a_feature], measured, tmp_path)

    goals = {one["name"]: one for one in report.judged([a_feature], measured)}
    assert not goals["features, one cutoff [rows/s]"]["met"]
    assert goals["net [row epochs/s]"]["met"]
    assert goals["net over LightGBM"]["value"] == pytest.approx(0.5)
    assert goals["lasso growth of time per row"]["value"] == pytest.approx(1.0)
    assert "| ensemble | 1,000 |" in text
    assert json.loads((tmp_path / "report.json").read_text())["goals"]
