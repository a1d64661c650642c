"""What trying a model on a fold gives, and the process that does it.

Each family of models runs in a process of its own, one after the other, so that seconds and peak
memory are its own.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.accuracy.folds import Fold, Prepared
from benchmarks.memory import peak_mib
from forecast_platform.vocabulary import CUTOFF, DS, SEGMENT, UNIQUE_ID, VELOCITY, H


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one fold by one family.

    Parameters
    ----------
    table : pandas.DataFrame
        A column per model, a row per row of ``fold.test`` in its order [units].
    train_seconds, score_seconds : float
        CPU seconds of the process, all threads together.
    """

    table: pd.DataFrame
    train_seconds: float
    score_seconds: float


Family = Callable[[Fold], Forecasts]


def try_family(name: str, family: Family, folder: Path) -> None:
    """Run one family over all folds and write forecasts and costs beside the data."""
    prepared = Prepared.load(folder)
    before, tables, train, score = peak_mib(), [], 0.0, 0.0
    for number, fold in enumerate(prepared.folds(), 1):
        done = family(fold)
        keys = fold.test[[UNIQUE_ID, DS, H, SEGMENT, VELOCITY]].assign(**{CUTOFF: fold.cutoff})
        tables.append(pd.concat([keys, done.table.set_axis(fold.test.index)], axis=1))
        train, score = train + done.train_seconds, score + done.score_seconds
        took = f"{done.train_seconds:.1f} + {done.score_seconds:.1f} s"
        print(f"  {name}: fold {number} of {len(prepared.cutoffs)}, {took}", flush=True)
    pd.concat(tables, ignore_index=True).to_parquet(folder / f"{name}.parquet")
    costs = {
        "train_seconds": train / len(tables),
        "score_seconds": score / len(tables),
        "peak_mib": peak_mib(),
        "data_mib": before,
    }
    (folder / f"{name}.json").write_text(json.dumps(costs), encoding="utf-8")
