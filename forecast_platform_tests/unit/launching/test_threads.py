"""Processes side by side do not fight for cores."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from forecast_platform.forecasting import training
from forecast_platform.launching import workers
from forecast_platform.settings import child_threads

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def threads_of_products() -> list[int]:
    """Return the threads of every library of matrix products in this process."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def test_a_started_process_gets_the_asked_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    spawn = multiprocessing.get_context("spawn")

    with child_threads(1), ProcessPoolExecutor(1, mp_context=spawn) as pool:
        found = pool.submit(threads_of_products).result()

    assert found
    assert set(found) == {1}
    assert not any(name in os.environ for name in NAMES)


def test_a_number_that_the_environment_holds_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")

    with child_threads(1):
        assert os.environ["OMP_NUM_THREADS"] == "3"

    assert os.environ["OMP_NUM_THREADS"] == "3"


class _Stop(Exception):  # noqa: N818 (ends a launch once its processes would start)
    pass


def test_workers_start_with_the_threads_of_the_settings(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = []

    def note(_: object) -> None:
        seen.append(os.environ["OMP_NUM_THREADS"])
        raise _Stop

    monkeypatch.setattr(workers.dg.DagsterInstance, "from_config", note)
    with pytest.raises(_Stop):
        workers.launch([[]], home=tmp_path, workers=1)

    assert seen == ["1"]
    assert "OMP_NUM_THREADS" not in os.environ


def test_training_keeps_to_its_threads_and_puts_them_back(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(training, "_train", lambda *_: seen.append(threads_of_products()))

    with threadpool_limits(2):
        training.train_region(
            pd.DataFrame(), pd.DataFrame(), cutoff=pd.Timestamp("2024-01-01"), config=None
        )
        after = threads_of_products()

    assert set(seen[0]) == {1}
    assert set(after) == {2}
