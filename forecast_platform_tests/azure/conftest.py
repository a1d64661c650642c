"""Azurite, the emulator of Azure Blob storage, for one test session."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest

from forecast_platform.settings import PROJECT_ROOT

ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (  # the emulator's own, published by Microsoft; it opens nothing else
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
CONTAINERS = ("landing", "lake", "models", "logs")
NOT_INSTALLED = "Azurite is not installed: npm install --prefix .azurite --no-save azurite@3.35.0"
SECONDS_TO_START = 60


@dataclass(frozen=True)
class Azurite:
    """A running emulator."""

    url: str

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.url}/{ACCOUNT};"
        )

    @property
    def storage_options(self) -> dict[str, str]:
        """One set for both readers: fsspec takes the last, deltalake the others."""
        return {
            "azure_storage_use_emulator": "true",
            "allow_http": "true",
            "connection_string": self.connection_string,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Where deltalake looks for the emulator: an explicit endpoint option fails."""
        return {"AZURITE_BLOB_STORAGE_URL": self.url}

    def blobs(self, container: str) -> list[str]:
        with self.client() as client:
            return [blob.name for blob in client.get_container_client(container).list_blobs()]

    def client(self):
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.connection_string)


def azurite_command() -> str | None:
    """Find the emulator where .ci/run or a developer put it."""
    local = PROJECT_ROOT / ".azurite" / "node_modules" / ".bin" / "azurite-blob"
    return shutil.which("azurite-blob") or (str(local) if local.exists() else None)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Start the emulator on a port that is free, with an empty store."""
    if not (command := azurite_command()):
        pytest.skip(NOT_INSTALLED)
    process = _start(command, tmp_path_factory.mktemp("azurite"))
    try:
        running = Azurite(_url_said_by(process))
        with running.client() as client:
            for container in CONTAINERS:
                client.create_container(container)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _start(command: str, store: Path) -> subprocess.Popen[str]:
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--skipApiVersionCheck"]
    return subprocess.Popen(
        [command, *options, "--silent", "--disableTelemetry", "--location", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )


def _url_said_by(process: subprocess.Popen[str]) -> str:
    """Wait for the line in which the emulator says where it listens."""
    lines: Queue[str] = Queue()
    Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    said = []
    try:
        while True:
            said.append(lines.get(timeout=SECONDS_TO_START))
            if found := re.search(r"listens on (http://\S+)", said[-1]):
                return found[1]
    except Empty:
        process.kill()
        pytest.fail(f"Azurite did not start in {SECONDS_TO_START} s: {''.join(said)}")
