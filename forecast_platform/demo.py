"""The demonstration: a simulated retailer taken the whole way, and what came out of it.

Which data, which runs, which scores. How it is shown belongs to the command line. Every step can
be repeated: what is done already is found in the lake and left alone.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from forecast_platform.automation.jobs import DATA_GROUPS
from forecast_platform.errors import ForecastPlatformError
from forecast_platform.launching.boxes import MODEL_GROUPS, Box, plan
from forecast_platform.launching.instance import (
    add_regions,
    open_instance,
    open_lake,
    registered_regions,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import Settings
from forecast_platform.simulation.config import RetailerConfig, default_regions
from forecast_platform.simulation.delivery import simulate
from forecast_platform.vocabulary import EMBEDDING_NET, ENSEMBLE, HISTORICAL_AVERAGE, LASSO

MARKER: Final = "demo.json"
"""File in ``home`` that says: what is here, the demo made; and with which size."""

FOLDERS: Final = ("landing", "truth", "lake", "registry", "dagster_home")


class NotTheDemos(ForecastPlatformError):  # noqa: N818 - named as its siblings
    """The data that is there was not made by the demo, which must not touch it."""


@dataclass(frozen=True)
class DemoSize:
    """How large the demonstration is; the same size gives the same data."""

    regions: int = 14
    stores: int = 8
    products: int = 12
    weeks: int = 56
    last_week: str = "2024-12-30"
    seed: int = 0

    @property
    def last(self) -> pd.Timestamp:
        """Week whose forecasts are made."""
        return pd.Timestamp(self.last_week)

    @property
    def first(self) -> pd.Timestamp:
        """First delivered week."""
        return self.last - pd.Timedelta(weeks=self.weeks - 1)

    @property
    def retailer(self) -> RetailerConfig:
        """The retailer of this size."""
        return RetailerConfig(
            seed=self.seed,
            regions=default_regions(self.regions),
            stores_per_region=self.stores,
            products=self.products,
            first_week=date.fromisoformat(f"{self.first:%Y-%m-%d}"),
            n_weeks=self.weeks,
        )


@dataclass(frozen=True)
class Demo:
    """One demonstration in one ``home``."""

    settings: Settings
    size: DemoSize

    @classmethod
    def open(cls, settings: Settings, size: DemoSize, *, fresh: bool = False) -> Self:
        """Claim ``home`` for the demo, or find the demo that is there.

        Raises
        ------
        NotTheDemos
            If the data there is somebody's own, or a demo of another size.
        """
        demo = cls(settings, size)
        demo._refuse_other_storage()
        if fresh:
            demo._remove()
        demo._claim()
        return demo

    @property
    def marker(self) -> Path:
        """The file that says what the demo made."""
        return self.settings.home / MARKER

    @property
    def lake(self) -> Lake:
        """The demo's tables."""
        return open_lake(self.settings)

    @property
    def regions(self) -> tuple[str, ...]:
        """All regions of the demo."""
        return self.size.retailer.regions

    @property
    def is_delivered(self) -> bool:
        """Whether all files were landed."""
        return bool(self._read_marker().get("delivered"))

    def deliver(self, on_progress: Callable[[int, int, str], None]) -> None:
        """Simulate the retailer and land its files, unless they are there; register regions."""
        if not self.is_delivered:
            landing = Path(self.settings.landing)
            truth = self.settings.home / "truth"
            simulate(self.size.retailer, landing, truth=truth, progress=on_progress)
            self._write_marker(delivered=True)
        with open_instance(self.settings) as instance:
            add_regions(instance, self.regions)

    def chains(self, workers: int) -> list[list[Box]]:
        """Lay out the runs that are still to do: data of all weeks, models of the last."""
        with open_instance(self.settings) as instance:
            order = registered_regions(instance)
        weeks = list(pd.date_range(self.size.first, self.size.last, freq="W-MON"))
        to_condition = self._missing("demand_features", weeks)
        to_forecast = self._missing("forecasts", [self.size.last])
        open_regions = [name for name in order if name in {*to_condition, *to_forecast}]
        chains = []
        for part in _parts(open_regions, workers):
            data = plan(order, set(part) & set(to_condition), weeks, DATA_GROUPS)
            models = plan(order, set(part) & set(to_forecast), weeks[-1:], MODEL_GROUPS)
            chains.append([box for chain in (*data, *models) for box in chain])
        return chains

    def _missing(self, table: str, weeks: Sequence[pd.Timestamp]) -> list[str]:
        if not self.lake.exists(table):
            return list(self.regions)
        wanted = set(weeks)
        return [name for name in self.regions if wanted - set(self.lake.weeks_of(table, name))]

    def _refuse_other_storage(self) -> None:
        named = [
            f"FORECAST_PLATFORM_{name.upper()}"
            for name in ("landing_uri", "lake_uri", "registry_uri", "registry_artifacts_uri")
            if getattr(self.settings, name)
        ]
        if named:
            raise NotTheDemos(
                f"the demo keeps everything in FORECAST_PLATFORM_HOME; unset {', '.join(named)}"
            )

    def _claim(self) -> None:
        home = self.settings.home
        if self.marker.exists():
            there = self._read_marker().get("size")
            if there != asdict(self.size):
                raise NotTheDemos(
                    f"{home} holds a demo of another size ({there}): start again with --fresh, or "
                    "set FORECAST_PLATFORM_HOME to another folder"
                )
            return
        taken = [name for name in FOLDERS[:-1] if (home / name).exists()]
        if taken:
            raise NotTheDemos(
                f"{home} already holds data that the demo did not make ({', '.join(taken)}): set "
                "FORECAST_PLATFORM_HOME to another folder"
            )
        home.mkdir(parents=True, exist_ok=True)
        self._write_marker(delivered=False)

    def _remove(self) -> None:
        """Remove what a demo made; data without the demo's marker is never touched."""
        if self.marker.exists():
            for name in FOLDERS:
                shutil.rmtree(self.settings.home / name, ignore_errors=True)
            self.marker.unlink()

    def _read_marker(self) -> dict[str, object]:
        return json.loads(self.marker.read_text()) if self.marker.exists() else {}

    def _write_marker(self, *, delivered: bool) -> None:
        part = self.marker.with_suffix(".part")
        part.write_text(json.dumps({"size": asdict(self.size), "delivered": delivered}, indent=2))
        part.replace(self.marker)


def _parts(names: Sequence[str], count: int) -> list[Sequence[str]]:
    size = -(-len(names) // count) or 1
    return [names[start : start + size] for start in range(0, len(names), size)]


def scoreboard(lake: Lake, week: pd.Timestamp, regions: Sequence[str]) -> pd.DataFrame:
    """Sum up one week: how good the models are, how many serve, how much was forecast.

    Returns
    -------
    DataFrame
        One row per region and a last one named ``total``: the errors of every model on all
        held-out rows together, ``improvement`` of the ensemble's MAPE over the historical
        average's as a fraction, ensembles and baselines that serve, rows forecast.
    """
    metrics = lake.read("validation_metrics", region=regions, weeks=[week])
    overall = metrics[metrics["segment"] == "all"]
    rows = [_scores(overall[overall["region"] == region], region) for region in regions]
    board = pd.DataFrame([*rows, _scores(overall, "total")]).set_index("region")
    promotion = lake.read("promotion", region=regions, weeks=[week])
    serving = promotion[promotion["champion_version"].notna()]
    forecasts = lake.read("forecasts", region=regions, weeks=[week], columns=["region"])
    counts = {
        "ensembles": serving[serving["kind"] == ENSEMBLE].groupby("region").size(),
        "baselines": serving[serving["kind"] == HISTORICAL_AVERAGE].groupby("region").size(),
        "rows": forecasts.groupby("region").size(),
    }
    for name, count in counts.items():
        board[name] = count.reindex(board.index, fill_value=0)
        board.loc["total", name] = count.sum()
    return board


def _scores(metrics: pd.DataFrame, region: str) -> dict[str, object]:
    """Pool scores over regions: exact, since each says how many rows it is over."""
    pooled = {model: _pool(rows) for model, rows in metrics.groupby("model")}
    absent = {"mape": np.nan, "rmse_0": np.nan, "rmse_all": np.nan}
    ensemble = pooled.get(ENSEMBLE, absent)
    average = pooled.get(HISTORICAL_AVERAGE, absent)
    return {
        "region": region,
        "mape_ensemble": ensemble["mape"],
        "mape_lasso": pooled.get(LASSO, absent)["mape"],
        "mape_embedding_net": pooled.get(EMBEDDING_NET, absent)["mape"],
        "mape_historical_average": average["mape"],
        "improvement": 1 - ensemble["mape"] / average["mape"],
        "rmse_0": ensemble["rmse_0"],
        "rmse_all": ensemble["rmse_all"],
    }


def _pool(rows: pd.DataFrame) -> dict[str, float]:
    return {
        "mape": _mean(rows["mape"], rows["n_positive"]),
        "rmse_0": _mean(rows["rmse_0"] ** 2, rows["n_zero"]) ** 0.5,
        "rmse_all": _mean(rows["rmse_all"] ** 2, rows["n_rows"]) ** 0.5,
    }


def _mean(values: pd.Series, weights: pd.Series) -> float:
    known = values.notna() & (weights > 0)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=weights[known]))
