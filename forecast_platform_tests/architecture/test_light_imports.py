import subprocess
import sys

import pytest

HEAVY = ("torch", "mlflow", "sklearn", "numba", "matplotlib", "dbt.cli.main", "adlfs")
"""Each costs every process of Dagster from half a second to seconds."""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    code = "import sys, forecast_platform.definitions; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_importing_the_definitions_does_not_load(module, loaded):
    assert module not in loaded


def test_importing_the_definitions_loads_them(loaded):
    assert "forecast_platform.definitions" in loaded
