import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.files import (
    ARRAYS_FILE,
    MODEL_FILE,
    load_model,
    to_files,
)
from forecast_platform.forecasting.models.lasso import LassoForecaster


@pytest.fixture(scope="module")
def models(rows, columns):
    numeric, categorical = columns
    lasso = LassoForecaster(numeric, effects=categorical, alpha=0.003)
    net = EmbeddingNetForecaster(numeric, categorical, epochs=1)
    members = {"lasso": lasso, "embedding_net": net}
    ensemble = Ensemble(
        members, weights={"lasso": 0.35, "embedding_net": 0.65}, segment="large_fast"
    )
    return {
        "ensemble": ensemble.fit(rows, rows["y"]),
        "lasso": lasso,
        "embedding_net": net,
        "historical_average": HistoricalAverage().fit(rows, rows["y"]),
    }


@pytest.fixture(scope="module")
def files(models):
    return to_files(models["ensemble"])


kinds = pytest.mark.parametrize(
    "kind", ["ensemble", "lasso", "embedding_net", "historical_average"]
)


@kinds
def test_a_model_read_back_forecasts_bitwise_the_same(kind, models, rows):
    read = load_model(to_files(models[kind]))

    assert type(read) is type(models[kind])
    assert (read.predict(rows) == models[kind].predict(rows)).all()


@kinds
def test_writing_what_was_read_gives_the_same_bytes(kind, models):
    files = to_files(models[kind])

    assert to_files(load_model(files)) == files


def test_an_ensemble_keeps_its_segment_and_weights(models, files):
    read = load_model(files)

    assert read.segment == "large_fast"
    assert read.weights == {"lasso": 0.35, "embedding_net": 0.65}
    assert read.members["lasso"].alpha_ == 0.003


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_flipped_bit_anywhere_is_noticed(files, data):
    name = data.draw(st.sampled_from([MODEL_FILE, ARRAYS_FILE]))
    position = data.draw(st.integers(0, len(files[name]) - 1))
    damaged = bytearray(files[name])
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))

    try:
        read = load_model({**files, name: bytes(damaged)})
    except CorruptModelFiles:
        return
    assert to_files(read) == files  # only insignificant characters can differ


@pytest.mark.parametrize("name", [MODEL_FILE, ARRAYS_FILE])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_missing_and_foreign_files_are_corrupt(files, name, content):
    broken = {key: value for key, value in files.items() if key != name}
    if content is not None:
        broken[name] = content

    with pytest.raises(CorruptModelFiles):
        load_model(broken)


def forged(files, change_state=None, change_arrays=None):
    """Change a model's content and sign it again, as someone who knows the format could."""
    body = json.loads(files[MODEL_FILE])["body"]
    arrays = load(files[ARRAYS_FILE])
    if change_arrays:
        change_arrays(arrays)
        body["arrays"] = {
            name: {"dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in arrays.items()
        }
    if change_state:
        change_state(body)
    stored = save(arrays)
    body["arrays_sha256"] = hashlib.sha256(stored).hexdigest()
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    document = {"sha256": digest, "body": body}
    return {MODEL_FILE: json.dumps(document).encode(), ARRAYS_FILE: stored}


def test_a_forged_model_that_changes_nothing_is_read(files):
    load_model(forged(files))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(kind="os.system"),
        lambda body: body.update(format_version=99),
        lambda body: body["state"].pop("members"),
        lambda body: body["state"]["members"].update(evil={}),
        lambda body: body["state"]["weights"].update(lasso=7.0),
        lambda body: body["state"]["members"]["lasso"]["params"].update(numeric=3, unknown=1),
        lambda body: body["state"]["members"]["lasso"]["groups"].update(segment=["one"]),
        lambda body: body["state"]["members"]["embedding_net"]["params"].update(hidden=[64, 33]),
        lambda body: body["state"].update(series=["s0/p0"]),
        lambda body: body.update(state=[]),
    ],
)
def test_a_description_that_no_model_of_ours_has_is_corrupt(files, change):
    with pytest.raises(CorruptModelFiles):
        load_model(forged(files, change_state=change))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("lasso/shared"),
        lambda arrays: arrays.update({"lasso/shared": arrays["lasso/shared"][:-1]}),
        lambda arrays: arrays.update({"overall": np.array([np.nan])}),
        lambda arrays: arrays.update({"overall": np.array([1])}),
        lambda arrays: arrays.update({"lasso/scale": -arrays["lasso/scale"]}),
    ],
)
def test_arrays_of_another_shape_kind_or_value_are_corrupt(files, change):
    with pytest.raises(CorruptModelFiles):
        load_model(forged(files, change_arrays=change))


def test_a_model_is_read_and_forecasts_without_torch_numba_or_scikit_learn(tmp_path, models, rows):
    """So that scoring starts in a fraction of a second."""
    for name, content in to_files(models["ensemble"]).items():
        (tmp_path / name).write_bytes(content)
    rows.to_pickle(tmp_path / "rows.pkl")
    program = f"""
import pathlib, sys
import pandas as pd
from forecast_platform.forecasting.models.files import load_model
folder = pathlib.Path({str(tmp_path)!r})
files = {{name: (folder / name).read_bytes() for name in {list(to_files(models["ensemble"]))!r}}}
forecasts = load_model(files).predict(pd.read_pickle(folder / "rows.pkl"))
forecasts.tofile(folder / "forecasts")
assert not {{"torch", "numba", "sklearn", "mlflow", "dagster"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

    elsewhere = np.fromfile(tmp_path / "forecasts")
    assert (elsewhere == models["ensemble"].predict(rows)).all()
