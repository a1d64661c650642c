"""The model registry after three years: look-ups and lists, and what logging adds to training.

Filled by copying the rows of one real registration in the database: registering 8,736 versions
one after the other takes an hour. What is measured goes through the registry's own calls.
"""

import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.models.files import to_files
from forecast_platform.forecasting.models.signature import descriptors
from forecast_platform.forecasting.training import RegionModels, TrainingConfig, train_region
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION
from forecast_platform.resources.overview import serving_models
from forecast_platform.resources.packing import candidates_of
from forecast_platform.resources.registry import ModelRegistry, sqlite_path
from forecast_platform.vocabulary import CATEGORICAL_FEATURES, FORMATS, NUMERIC_FEATURES, VELOCITIES

REGIONS: Final = tuple(f"region_{number:02d}" for number in range(14))
WEEKS: Final = pd.date_range("2022-01-03", periods=156, freq="W-MON").as_unit("us")
LOGGING_GOAL: Final = 0.15
"""Logging over training, in CPU."""

LOOKUP_GOAL: Final = 0.5
"""[s]."""


def measure() -> dict[str, Any]:
    """Measure logging against training, then a registry and a manifest of three years."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        registry = ModelRegistry(
            tracking_uri=f"sqlite:///{folder}/mlflow.db", artifacts_uri=f"{folder}/artifacts"
        )
        logging = _logging(registry)
        versions = _fill(registry)
        lake = _manifest(Path(folder))
        return {"logging": logging, "versions": versions, "lookups": _lookups(registry, lake)}


def _logging(registry: ModelRegistry) -> dict[str, float]:
    """Train one region of the demo's size, then log and register its six models."""
    frame, demand = _training_rows()
    started, cpu = time.perf_counter(), time.process_time()
    config = TrainingConfig(epochs=4)
    models = train_region(frame, demand, cutoff=WEEKS[0], config=config)
    training = (time.perf_counter() - started, time.process_time() - cpu)
    _log(registry, models, frame, "warm_up", WEEKS[0])  # makes the tables, imports MLflow
    times = []
    for region in REGIONS[:5]:
        started, cpu = time.perf_counter(), time.process_time()
        _log(registry, models, frame, region, WEEKS[0])
        times.append((time.perf_counter() - started, time.process_time() - cpu))
    seconds, cpu_seconds = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "training_seconds": training[0],
        "training_cpu_seconds": training[1],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ratio": seconds / training[0],
        "ratio_cpu": cpu_seconds / training[1],
        "goal": LOGGING_GOAL,
    }


def _log(
    registry: ModelRegistry,
    models: RegionModels,
    frame: pd.DataFrame,
    region: str,
    week: pd.Timestamp,
) -> None:
    candidates = list(candidates_of(region, models).values())
    assert len(candidates) == 6
    assert all(to_files(one) for one in models.ensembles.values())
    registry.log_region_week(
        region,
        week,
        candidates,
        metrics={f"{number}/ensemble/mape": 0.3 for number in range(140)},
        params={"epochs": 4, "seed": 0},
        tags={"git_commit": "0" * 40, "seed": "0", "version_demand_features": "1"},
        descriptors=descriptors(frame),
    )
    for one in candidates:
        registry.promote(one.name, 1)


def _training_rows() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make up rows of the size of a region of the demo: 60 series, 52 weeks, 4 weeks ahead."""
    rng = np.random.default_rng(0)
    series = [(f"S{store}", f"P{product}") for store in range(6) for product in range(10)]
    weeks = pd.date_range(end=WEEKS[0], periods=56, freq="W-MON").as_unit("us")
    rows = pd.DataFrame(
        [
            (store, product, week, ahead)
            for store, product in series
            for week in weeks
            for ahead in range(1, 5)
        ],
        columns=["store_id", "product_id", "week", "h"],
    )
    rows["unique_id"] = rows["store_id"] + "/" + rows["product_id"]
    rows["ds"] = rows["week"] + pd.to_timedelta(7 * rows["h"], unit="D")
    rows["format"] = np.where(rows["store_id"] < "S3", *FORMATS)
    rows["velocity"] = np.where(rows["product_id"] < "P5", *VELOCITIES)
    rows["segment"] = rows["format"] + "_" + rows["velocity"]
    text = {name: rng.choice(["a", "b", "c"], len(rows)) for name in CATEGORICAL_FEATURES}
    numbers = {name: rng.normal(size=len(rows)).astype(np.float32) for name in NUMERIC_FEATURES}
    made = {name: values for name, values in (text | numbers).items() if name not in rows}
    rows = rows.assign(**made | {"base_level": np.float32(2.5)})
    demand = pd.DataFrame(
        [(store, product, week) for store, product in series for week in weeks],
        columns=["store_id", "product_id", "ds"],
    )
    demand["unique_id"] = demand["store_id"] + "/" + demand["product_id"]
    demand["y"] = rng.poisson(12, len(demand)).astype(float)
    frame = rows.merge(demand[["unique_id", "ds", "y"]], on=["unique_id", "ds"])
    return frame, demand


def _fill(registry: ModelRegistry) -> int:
    """Copy one region's registration to all regions and weeks."""
    path = sqlite_path(registry.tracking_uri)
    assert path is not None
    with closing(sqlite3.connect(path)) as database:
        copies = _Copies(database, REGIONS[0])
        for region in REGIONS:
            for number, week in enumerate(WEEKS, start=1):
                copies.add(region, number, week)
        database.commit()
        database.execute("ANALYZE")
        [(count,)] = database.execute(
            "select count(*) from model_versions where name not like '%historical_average'"
        )
    return int(count)


class _Copies:
    """Rows of one registered region, to be written again under other names."""

    def __init__(self, database: sqlite3.Connection, region: str) -> None:
        self._database, self._region = database, region
        self._run = self._rows("runs", f"name like '{region} %'")[0]
        run_id = self._run["run_uuid"]
        tables = ("tags", "metrics", "latest_metrics", "params")
        self._of_run = {one: self._rows(one, f"run_uuid = '{run_id}'") for one in tables}
        like = f"name like 'demand-{region}-%'"
        tables = ("registered_models", "model_versions", "model_version_tags")
        self._of_models = {one: self._rows(one, like) for one in tables}

    def add(self, region: str, number: int, week: pd.Timestamp) -> None:
        """Write a region's registration as that of a week; what is there stays."""
        run_id = uuid.uuid4().hex
        uri = self._run["artifact_uri"].replace(self._run["run_uuid"], run_id)
        name = f"{region} {week:%Y-%m-%d}"
        self._write("runs", [{**self._run, "run_uuid": run_id, "name": name, "artifact_uri": uri}])
        for table, rows in self._of_run.items():
            self._write(table, [{**row, "run_uuid": run_id} for row in rows])
        for table, rows in self._of_models.items():
            self._write(table, [self._renamed(row, region, number, week, run_id) for row in rows])
        if number == len(WEEKS):
            for row in self._of_models["registered_models"]:
                alias = {"alias": "champion", "version": number, "workspace": row["workspace"]}
                renamed = self._renamed(row, region, number, week, run_id)
                self._write("registered_model_aliases", [{**alias, "name": renamed["name"]}])

    def _renamed(
        self, row: dict[str, Any], region: str, number: int, week: pd.Timestamp, run_id: str
    ) -> dict[str, Any]:
        changed = {**row, "name": row["name"].replace(self._region, region)}
        if "version" in row:
            changed["version"] = number
        if "run_id" in row:
            changed["run_id"] = run_id
            changed["source"] = row["source"].replace(self._run["run_uuid"], run_id)
        if row.get("key") == "cutoff":
            changed["value"] = f"{week:%Y-%m-%d}"
        return changed

    def _rows(self, table: str, where: str) -> list[dict[str, Any]]:
        found = self._database.execute(f"select * from {table} where {where}")  # noqa: S608
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def _write(self, table: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join("?" * len(rows[0]))
            self._database.executemany(
                f"insert or replace into {table} ({names}) values ({marks})",  # noqa: S608
                [tuple(row.values()) for row in rows],
            )


def _manifest(folder: Path) -> Lake:
    """Write three years of a manifest, a commit for each week as in weekly work."""
    lake = Lake(uri=str(folder / "lake"))
    for number, week in enumerate(WEEKS, start=1):
        keys = [RegionWeek(region, week) for region in REGIONS]
        rows = [
            _promotion(region, form, velocity, number, week)
            for region in REGIONS
            for form in FORMATS
            for velocity in VELOCITIES
        ]
        lake.write(PROMOTION, pd.DataFrame(rows), keys, run_id="benchmark")
    lake.open(PROMOTION).create_checkpoint()  # as the weekly maintenance does
    return lake


def _promotion(
    region: str, form: str, velocity: str, number: int, week: pd.Timestamp
) -> dict[str, Any]:
    return {
        "region": region,
        "week": week,
        "segment": f"{form}_{velocity}",
        "kind": "ensemble",
        "model_name": f"demand-{region}-{form}-{velocity}",
        "champion_version": number,
        "cutoff": week,
        "verdict": "promoted",
    }


def _lookups(registry: ModelRegistry, lake: Lake) -> list[dict[str, Any]]:
    name = f"demand-{REGIONS[0]}-large-fast"
    names = [
        f"demand-{region}-{form}-{velocity}"
        for region in REGIONS
        for form in FORMATS
        for velocity in VELOCITIES
    ]
    calls: list[tuple[str, Callable[[], object]]] = [
        ("champion of a segment", lambda: registry.champion(name)),
        ("one version", lambda: registry.find(name, 100)),
        ("all versions of a segment", lambda: _expect(registry.versions(name), len(WEEKS))),
        ("champions of 14 regions, registry", lambda: [registry.champion(one) for one in names]),
        ("models list of a region, lake", lambda: _expect(serving_models(lake, REGIONS[:1]), 4)),
        ("models list of 14 regions, lake", lambda: _expect(serving_models(lake, REGIONS), 56)),
    ]
    found = []
    for what, call in calls:
        seconds, cpu_seconds = _medians(call)
        one = {"name": what, "seconds": seconds, "cpu_seconds": cpu_seconds, "goal": LOOKUP_GOAL}
        found.append(one)
    return found


def _expect(found: Any, count: int) -> None:
    assert len(found) == count, (len(found), count)


def _medians(call: Callable[[], object], tries: int = 5) -> tuple[float, float]:
    """Return seconds by the clock and of the processor, after one call to warm up."""
    call()
    times = []
    for _ in range(tries):
        started, cpu = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - started, time.process_time() - cpu))
    seconds, cpu_seconds = (statistics.median(side) for side in zip(*times, strict=True))
    return seconds, cpu_seconds
