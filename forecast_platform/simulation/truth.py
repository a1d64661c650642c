"""What really was to be expected: written apart from the landing files, read by benchmarks.

Also the forecasts that know it. No model can be better than `oracle_forecast` on average; what
lies between the two is what a model can still gain.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from forecast_platform.simulation.files import replace_file
from forecast_platform.simulation.streams import monday_of

Loss = Literal["mean", "median", "mape"]

_GRID = 1.01  # ratio of neighbouring means in the table of quantiles


def write_truth(truth: Path, region: str, week: int, table: pa.Table) -> None:
    """Write one region's week as ``<truth>/<region>/<week>.parquet``."""
    with replace_file(truth / region / f"{monday_of(week)}.parquet") as part:
        pq.write_table(table, part)


def read_truth(
    truth: Path, *, regions: Sequence[str] | None = None, since: date | None = None
) -> pd.DataFrame:
    """Read the truth about every store, product and week.

    Parameters
    ----------
    truth
        Folder that `simulate` wrote it to.
    regions
        Which regions; default all.
    since
        First week (``ds``); default all.

    Returns
    -------
    DataFrame
        Grain: region, store_id, product_id, ds. ``expected`` is the mean of net demand ``y``
        [units], given everything but chance; ``selling_mean`` the mean where there is any demand
        at all, of which ``p_selling`` is the chance; ``dispersion`` the shape of the negative
        binomial; ``y`` what was drawn.
    """
    names = sorted(p.name for p in truth.iterdir() if p.is_dir()) if regions is None else regions
    files = [
        str(file)
        for name in names
        for file in sorted((truth / name).glob("*.parquet"))
        if since is None or date.fromisoformat(file.stem) >= since
    ]
    if not files:
        raise FileNotFoundError(f"no truth in {truth} for regions {list(names)} since {since}")
    frame = pads.dataset(files).to_table().to_pandas()
    return frame.assign(ds=pd.to_datetime(frame["ds"]).astype("datetime64[us]"))


def oracle_forecast(truth: pd.DataFrame, loss: Loss = "mape") -> np.ndarray:
    """Forecast each row of `read_truth` as well as anybody could.

    Parameters
    ----------
    truth
        Rows of `read_truth`.
    loss
        What the forecast is best for: ``mean`` (RMSE, bias), ``median`` (WAPE) or ``mape``
        (absolute percentage error over rows with ``y > 0``: the median weighted by 1 / y).

    Returns
    -------
    ndarray
        Forecast net demand [units].
    """
    if loss == "mean":
        return truth["expected"].to_numpy()
    result = np.zeros(len(truth))
    for shape, rows in truth.groupby("dispersion").indices.items():
        part = truth.iloc[rows]
        mean, chance = part["selling_mean"].to_numpy(), part["p_selling"].to_numpy()
        pick = _median if loss == "median" else _mape_median
        result[rows] = pick(float(str(shape)), mean, chance)
    return result


def _mape_median(shape: float, mean: np.ndarray, _chance: np.ndarray) -> np.ndarray:
    """Median of the weight p(y) / y over y > 0; zeros, structural or not, do not count."""
    step = np.round(np.log(np.maximum(mean, 0.05)) / np.log(_GRID)).astype(int)
    levels, inverse = np.unique(step, return_inverse=True)
    table = [_weighted_median(shape, _GRID**level) for level in levels]
    return np.array(table)[inverse]


def _weighted_median(shape: float, mean: float) -> float:
    units, chance = _distribution(shape, mean)
    weight = np.cumsum(chance[1:] / units[1:])
    return float(units[1:][np.searchsorted(weight, weight[-1] / 2)])


def _median(shape: float, mean: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Median with the structural zeros in it."""
    step = np.round(np.log(np.maximum(mean, 0.05)) / np.log(_GRID)).astype(int)
    result = np.zeros(len(mean))
    for level in np.unique(step):
        rows = step == level
        units, p = _distribution(shape, _GRID**level)
        needed = 1 - 0.5 / np.maximum(chance[rows], 1e-9)
        found = units[np.minimum(np.searchsorted(np.cumsum(p), needed), len(units) - 1)]
        result[rows] = np.where(needed > 0, found, 0.0)
    return result


def _distribution(shape: float, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Negative binomial by recursion: values from 0 and their probabilities."""
    units = np.arange(int(mean + 12 * np.sqrt(mean + mean**2 / shape)) + 12)
    odds = mean / (mean + shape)
    steps = np.log((units[:-1] + shape) / units[1:] * odds)
    log_p = shape * np.log1p(-odds) + np.concatenate([[0.0], np.cumsum(steps)])
    return units, np.exp(log_p)
