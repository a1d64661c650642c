"""One small retailer, delivered once for all tests of this folder."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.simulation import (
    RetailerConfig,
    SimulationReport,
    read_truth,
    simulate,
)


@dataclass(frozen=True)
class Delivered:
    config: RetailerConfig
    landing: Path
    truth_folder: Path
    report: SimulationReport
    truth: pd.DataFrame

    def read(self, source: str) -> pd.DataFrame:
        """All files of a source, with the region and week of their folder."""
        parts = [
            pd.read_csv(path, dtype={"zip": str, "scope_id": str}).assign(
                region=path.parts[-3], delivered_in=path.parts[-2]
            )
            for path in sorted((self.landing / source).glob("*/*/*.csv"))
        ]
        return pd.concat(parts, ignore_index=True)


def deliver(config: RetailerConfig, folder: Path) -> Delivered:
    landing, truth = folder / "landing", folder / "truth"
    report = simulate(config, landing, truth=truth)
    return Delivered(config, landing, truth, report, read_truth(truth))


def is_fast(frame: pd.DataFrame) -> pd.Series:
    """Products with odd numbers are planted as fast movers."""
    return frame["product_id"].str[1:].astype(int) % 2 == 1


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """2 regions x 8 stores x 12 products x 104 weeks."""
    config = RetailerConfig(seed=1, regions=("north_texas", "great_lakes"))
    return deliver(config, tmp_path_factory.mktemp("retailer"))
