"""MLflow's scoring server over an exported region, as a process of its own.

What is exported is in `forecast_platform.resources.export`. See
https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
"""It asks nobody who they are: it is never bound to another address."""

ENVIRONMENT: Final = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def command(folder: Path, port: int) -> list[str]:
    """Name the command that serves an MLflow model of this machine in this environment."""
    options = ["--env-manager", "local", "--host", HOST, "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), *options]


def environment() -> dict[str, str]:
    """Make the server's environment: MLflow starts uvicorn by name, and looks for it in PATH."""
    inherited = os.environ  # noqa: TID251 - handed on, not read
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
    return {**inherited, **ENVIRONMENT, "PATH": path}


def run_server(folder: Path, port: int) -> int:
    """Serve until the server ends or somebody interrupts; return its exit code.

    The interruption ends the server and whatever it has started.
    """
    server = subprocess.Popen(  # noqa: S603 - our own command
        command(folder, port), env=environment(), start_new_session=True
    )
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(server)


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
    raise KeyboardInterrupt


def _end(server: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=10)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
