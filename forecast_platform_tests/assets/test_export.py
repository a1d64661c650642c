"""A region's champions outside of the platform: no pickle, no package, the same forecasts."""

import io
import json
import pickletools
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from forecast_platform.errors import NoChampion, RegistryError
from forecast_platform.forecasting.models.signature import descriptors
from forecast_platform.launching.scoring_server import command, environment
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.export import export_region, modules_of
from forecast_platform.vocabulary import NUMERIC_FEATURES
from forecast_platform_tests.assets.conftest import REGION, WEEKS, World

KEY = RegionWeek(REGION, WEEKS[-1])
PREDICT = """
import json, sys
sys.path.insert(0, sys.argv[1])
try:
    import forecast_platform
except ImportError:
    pass
else:
    raise SystemExit("the platform is installed here: this is no clean environment")
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[2])
rows = pd.read_json(sys.stdin, orient="split", dtype=False, convert_dates=False, precise_float=True)
made = model.predict(rows)
import forecast_platform
assert forecast_platform.__file__.startswith(sys.argv[2]), forecast_platform.__file__
assert not {"torch", "sklearn", "dagster"} & set(sys.modules), "more was imported than is needed"
print(made.to_json(orient="split"))
"""


@pytest.fixture
def exported(forecast: World, tmp_path: Path) -> Path:
    export_region(REGION, forecast.lake, forecast.registry, tmp_path / "model")
    return tmp_path / "model"


def rows_to_post(world: World) -> tuple[pd.DataFrame, str]:
    """Features in the order in which they were scored, and as JSON."""
    features = world.rows("demand_features", KEY)
    features = features.sort_values("segment", kind="stable").reset_index(drop=True)
    text = features.drop(columns=["week", "ds"])
    text = text.astype(dict.fromkeys(NUMERIC_FEATURES, "float64"))
    return features, text.to_json(orient="split", index=False, double_precision=15)


def assert_forecasts_are_those_of_the_batch(
    world: World, features: pd.DataFrame, made: pd.DataFrame
) -> None:
    batch = world.rows("forecasts", KEY).set_index(["unique_id", "h"])
    batch = batch.reindex(features.set_index(["unique_id", "h"]).index)
    assert (batch["served_by"] == "champion").any()
    np.testing.assert_allclose(made["y_hat"].to_numpy(float), batch["y_hat"], rtol=1e-6)
    assert list(made["model_name"]) == list(batch["model_name"])
    assert list(made["model_version"].astype(int)) == list(batch["model_version"])


def is_pickle(content: bytes) -> bool:
    """Tell whether bytes are a pickle: whether they can be read as one to its end."""
    try:
        for opcode, _, _ in pickletools.genops(io.BytesIO(content)):
            if opcode.name == "STOP":
                return True
    except Exception:  # noqa: BLE001 - whatever breaks the reading says that it is none
        return False
    return False


def test_what_is_exported_and_what_is_registered_holds_no_pickle(forecast: World, exported: Path):
    import pickle

    assert is_pickle(pickle.dumps({"a": 1})), "the test would find one"
    registered = forecast.registry._files.values()
    opened = [content for files in registered for content in files.values()]
    opened += [path.read_bytes() for path in exported.rglob("*") if path.is_file()]
    opened += forecast.registry.descriptors.values()

    assert len(opened) > 20
    assert not any(is_pickle(content) for content in opened)
    names = {name for files in registered for name in files}
    assert names == {"model.json", "arrays.safetensors"}


def test_a_registered_model_has_signature_example_and_pinned_requirements(forecast: World):
    files = forecast.registry.descriptors

    inputs = json.loads(json.loads(files["signature.json"])["inputs"])
    example = json.loads(files["input_example.json"])
    required = files["requirements.txt"].decode().split()
    assert [one["name"] for one in inputs] == example["columns"]
    assert len(example["data"]) == 3
    assert {one.partition("==")[0] for one in required} == {"numpy", "pandas", "safetensors"}
    assert all(one.partition("==")[2] for one in required)
    features = forecast.rows("demand_features", RegionWeek(REGION, WEEKS[0]))
    assert descriptors(features) == files, "the same rows give the same bytes"


@pytest.mark.slow
def test_an_export_forecasts_the_same_where_the_platform_is_not_installed(
    forecast: World, exported: Path, tmp_path: Path
):
    """Isolated, and without site: neither an editable install nor the working folder is seen."""
    features, posted = rows_to_post(forecast)

    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-W", "ignore", "-c", PREDICT),
            *(sysconfig.get_path("purelib"), str(exported)),
        ],
        input=posted,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    made = pd.read_json(
        io.StringIO(done.stdout.splitlines()[-1]), orient="split", precise_float=True
    )
    assert_forecasts_are_those_of_the_batch(forecast, features, made)


@pytest.mark.slow
@pytest.mark.integration
def test_the_http_server_answers_what_the_batch_has_forecast(
    forecast: World, exported: Path, tmp_path: Path
):
    features, posted = rows_to_post(forecast)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            command(exported, port),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(),
        )
        try:
            answer = ask(server, port, f'{{"dataframe_split": {posted}}}')
        finally:
            end(server)

    made = pd.DataFrame(answer["predictions"])
    assert_forecasts_are_those_of_the_batch(forecast, features, made)


def ask(server: subprocess.Popen, port: int, body: str) -> dict:
    until = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < until
            time.sleep(0.3)
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        body.encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=120) as response:  # noqa: S310 - our own address
        return json.load(response)


def end(server: subprocess.Popen) -> None:
    import os
    import signal

    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def test_a_model_that_was_changed_after_its_export_is_refused(exported: Path):
    from forecast_platform.forecasting.models.base import CorruptModelFiles
    from forecast_platform.forecasting.models.pyfunc import _load_pyfunc

    arrays = next(exported.glob("data/*/arrays.safetensors"))
    content = bytearray(arrays.read_bytes())
    content[-1] ^= 1
    arrays.write_bytes(bytes(content))

    with pytest.raises(CorruptModelFiles, match="changed since its export"):
        _load_pyfunc(str(exported / "data"))


def test_a_champion_that_was_changed_in_the_registry_is_not_exported(
    forecast: World, tmp_path: Path
):
    forecast.registry.corrupt("demand-north-large-fast", 1)

    with pytest.raises(RegistryError, match="SHA-256"):
        export_region(REGION, forecast.lake, forecast.registry, tmp_path / "model")


def test_a_region_without_a_model_cannot_be_exported(forecast: World, tmp_path: Path):
    with pytest.raises(NoChampion, match="south"):
        export_region("south", forecast.lake, forecast.registry, tmp_path / "model")


def test_an_export_says_what_mlflow_asks_for_and_carries_only_the_modules_it_needs(exported: Path):
    described = yaml.safe_load((exported / "MLmodel").read_text())
    required = (exported / "requirements.txt").read_text().split()

    assert described["flavors"]["python_function"]["loader_module"] in modules_of(
        "forecast_platform.forecasting.models.pyfunc"
    )
    assert {"inputs", "outputs"} <= set(described["signature"])
    assert {one.partition("==")[0] for one in required} == {
        "mlflow",
        "numpy",
        "pandas",
        "safetensors",
    }
    carried = {path.relative_to(exported / "code").as_posix() for path in exported.rglob("*.py")}
    assert "forecast_platform/forecasting/models/ensemble.py" in carried
    assert "forecast_platform/settings.py" not in carried
    assert not [name for name in carried if "training" in name or "resources" in name]
