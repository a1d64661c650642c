"""One contract for the registry in MLflow and the one in memory; then what MLflow alone does."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.errors import CorruptModel, NoChampion, RegistryUnavailable
from forecast_platform.resources.registry import Candidate, ModelRegistry, Registry, sqlite_path
from forecast_platform_tests.fakes import InMemoryRegistry

WEEK = pd.Timestamp("2024-03-04")
NAME = "demand-north-large-fast"
BASELINE = "demand-north-large-historical_average"
MakeRegistry = Callable[[], ModelRegistry]


@pytest.fixture(params=["mlflow", "memory"])
def registry(request: pytest.FixtureRequest, make_registry: MakeRegistry) -> Registry:
    return make_registry() if request.param == "mlflow" else InMemoryRegistry()


def log(registry: Registry, *, week: pd.Timestamp = WEEK, content: bytes = b"weights"):
    candidates = [
        Candidate(name=NAME, files={"model.json": b"{}", "w": content}, alias="challenger"),
        Candidate(name=BASELINE, files={"model.json": b"[]"}, alias="baseline"),
    ]
    return registry.log_region_week(
        "north",
        week,
        candidates,
        metrics={"mape": 0.2, "wape": float("nan")},
        params={"epochs": 4},
        tags={"git_commit": "abc", "seed": "0"},
    )


def test_models_come_back_byte_for_byte(registry: Registry):
    ensemble, baseline = log(registry)

    files = registry.load_files(NAME, ensemble.version)

    assert files == {"model.json": b"{}", "w": b"weights"}
    assert registry.fetch(baseline.artifact_uri, baseline.sha256) == {"model.json": b"[]"}


def test_logging_sets_the_alias_of_the_role(registry: Registry):
    ensemble, baseline = log(registry)

    assert registry.champion(NAME, "challenger") == ensemble
    assert registry.champion(BASELINE, "baseline") == baseline
    with pytest.raises(NoChampion, match=NAME):
        registry.champion(NAME)


def test_the_same_models_again_make_no_new_version(registry: Registry):
    first, again = log(registry), log(registry)

    assert again == first


def test_other_models_make_a_new_version(registry: Registry):
    first, other = log(registry), log(registry, content=b"other")

    assert [one.version for one in first] == [1, 1]
    assert other[0].version == 2
    assert registry.champion(NAME, "challenger") == other[0]


def test_promotion_makes_the_version_the_champion(registry: Registry):
    ensemble, _ = log(registry)

    assert registry.promote(NAME, ensemble.version)

    assert registry.champion(NAME) == ensemble


def test_a_replayed_old_week_does_not_displace_a_newer_champion(registry: Registry):
    newer, _ = log(registry)
    registry.promote(NAME, newer.version)
    older, _ = log(registry, week=WEEK - pd.Timedelta(weeks=3), content=b"old")

    assert not registry.promote(NAME, older.version)

    assert registry.champion(NAME) == newer
    assert registry.champion(NAME, "challenger") == newer


def test_a_rollback_may_hand_the_alias_to_an_older_model(registry: Registry):
    older, _ = log(registry, week=WEEK - pd.Timedelta(weeks=3), content=b"old")
    newer, _ = log(registry)
    registry.promote(NAME, newer.version)

    assert registry.promote(NAME, older.version, even_if_older=True)

    assert registry.champion(NAME) == older


def test_who_holds_a_region_keeps_others_out_of_it_only(registry: Registry):
    with registry.exclusive(["north", "south", "north"]), registry.exclusive(["east"]):
        ensemble, _ = log(registry)
        assert registry.promote(NAME, ensemble.version)


def test_an_unknown_version_is_corrupt(registry: Registry):
    with pytest.raises(CorruptModel, match="no version 9"):
        registry.load_files(NAME, 9)


def test_a_wrong_digest_is_refused(registry: Registry):
    ensemble, baseline = log(registry)

    with pytest.raises(CorruptModel, match="SHA-256"):
        registry.fetch(ensemble.artifact_uri, baseline.sha256)
    with pytest.raises(CorruptModel, match="not registered by us"):
        registry.fetch(ensemble.artifact_uri, "")


@pytest.mark.parametrize("damage", ["flip", "truncate", "add", "remove"])
def test_damaged_files_are_refused(make_registry: MakeRegistry, damage: str):
    registry = make_registry()
    ensemble, _ = log(registry)
    weights = Path(ensemble.artifact_uri) / "w"
    {
        "flip": lambda: weights.write_bytes(b"weightt"),
        "truncate": lambda: weights.write_bytes(b"weight"),
        "add": lambda: (weights.parent / "extra.py").write_text("import os"),
        "remove": weights.unlink,
    }[damage]()

    with pytest.raises(CorruptModel):
        registry.load_files(NAME, ensemble.version)


def test_runs_and_versions_are_tagged_and_measured(make_registry: MakeRegistry):
    registry = make_registry()
    ensemble, _ = log(registry)

    with registry._connected() as client:
        run = client.get_run(ensemble.run_id)
        version = client.get_model_version(NAME, "1")

    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"mape": 0.2}
    assert run.data.params == {"epochs": "4"}
    assert version.tags["sha256"] == ensemble.sha256
    assert version.tags["cutoff"] == "2024-03-04"
    assert version.tags["git_commit"] == "abc"


def test_verdicts_are_tags_of_the_version(make_registry: MakeRegistry):
    registry = make_registry()
    ensemble, _ = log(registry)

    registry.tag(NAME, ensemble.version, {"verdict": "promoted", "verdict_numbers": "x" * 9_000})

    with registry._connected() as client:
        tags = client.get_model_version(NAME, "1").tags
    assert tags["verdict"] == "promoted"
    assert 1_000 < len(tags["verdict_numbers"]) <= 9_000
    assert tags["sha256"] == ensemble.sha256


@pytest.mark.parametrize("damage", ["disk-gone", "blocked"])
def test_files_that_cannot_be_reached_are_not_called_corrupt(
    make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch, damage: str
):
    registry = make_registry()
    ensemble, _ = log(registry)
    root = Path(registry.artifacts_uri)
    if damage == "disk-gone":
        root.rename(root.with_name("elsewhere"))
    else:

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)

    with pytest.raises(RegistryUnavailable):
        registry.fetch(ensemble.artifact_uri, ensemble.sha256)


def test_an_interrupted_run_is_completed(
    make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    registry = make_registry()
    with registry._connected() as client:
        create = type(client).create_model_version

        def create_one(self, name, *args, **kwargs):
            if name == BASELINE:
                raise KeyboardInterrupt
            return create(self, name, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(type(client), "create_model_version", create_one)
            with pytest.raises(KeyboardInterrupt):
                log(registry)

        models = log(registry)
        runs = client.search_runs([registry._experiment(client)])

    assert [one.version for one in models] == [1, 1]
    assert [run.info.status for run in runs] == ["FINISHED"]


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://127.0.0.1:9", id="no-server"),
    ],
)
def test_a_registry_that_is_down_is_said_so_at_once(uri: str):
    started = time.monotonic()

    with pytest.raises(RegistryUnavailable):
        ModelRegistry(tracking_uri=uri).champion(NAME)

    assert time.monotonic() - started < 20


def test_a_broken_database_file_is_an_unavailable_registry(tmp_path: Path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"this is no database" * 100)

    with pytest.raises(RegistryUnavailable):
        ModelRegistry(tracking_uri=f"sqlite:///{path}").champion(NAME)


def test_fetching_needs_no_database(make_registry: MakeRegistry):
    registry = make_registry()
    ensemble, _ = log(registry)
    elsewhere = ModelRegistry(tracking_uri="http://127.0.0.1:9")

    assert "w" in elsewhere.fetch(ensemble.artifact_uri, ensemble.sha256)


@pytest.mark.slow
def test_two_processes_may_make_the_database_at_once(tmp_path: Path):
    path = tmp_path / "new" / "mlflow.db"
    code = (
        "import sys, pandas as pd\n"
        "from forecast_platform.resources.registry import *\n"
        f"registry = ModelRegistry(tracking_uri='sqlite:///{path}', artifacts_uri='{tmp_path}/a')\n"
        "one = Candidate(name='demand-' + sys.argv[1], files={'m': b'1'}, alias='challenger')\n"
        "registry.log_region_week(sys.argv[1], pd.Timestamp('2024-03-04'), [one],"
        " metrics={}, params={}, tags={})\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, region])
        for region in ("north", "south")
    ]

    assert [process.wait(timeout=120) for process in processes] == [0, 0]

    with sqlite3.connect(path) as connection:
        names = connection.execute("select name from registered_models order by 1").fetchall()
    assert names == [("demand-north",), ("demand-south",)]


def test_the_database_lets_readers_and_a_writer_work_at_once(make_registry: MakeRegistry):
    registry = make_registry()
    log(registry)
    path = sqlite_path(registry.tracking_uri)

    assert path is not None
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
