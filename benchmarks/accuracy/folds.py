"""What a model gets: the rows known at a cutoff, and the rows that it has to forecast.

One preparation for all models, so that none sees more than another. No model belongs here.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.accuracy.datasets import Dataset
from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.training import training_frame
from forecast_platform.vocabulary import DS, UNIQUE_ID, WEEK, H, Y

TRAINING_WEEKS = 156
"""Feature rows of so many weeks before a cutoff are learnt from [weeks]."""


@dataclass(frozen=True)
class Fold:
    """One cutoff: what may be learnt from, and what is asked.

    Parameters
    ----------
    cutoff : pandas.Timestamp
    train : pandas.DataFrame
        Feature rows whose demand ``y`` is known at the cutoff [units].
    test : pandas.DataFrame
        Feature rows of the cutoff, without demand.
    demand : pandas.DataFrame
        Weekly demand up to the cutoff, with ``format``.
    plans : pandas.DataFrame
        ``unique_id, ds, price, feature, display``: what happened, and what is planned ahead.
    extra : tuple of str
        Further numeric columns of the feature rows.
    """

    cutoff: pd.Timestamp
    train: pd.DataFrame
    test: pd.DataFrame
    demand: pd.DataFrame
    plans: pd.DataFrame
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A data set with its features: made once, read by the process of every model."""

    cutoffs: tuple[pd.Timestamp, ...]
    features: pd.DataFrame
    demand: pd.DataFrame
    plans: pd.DataFrame
    extra: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "Prepared":
        """Build the features of every week up to the last cutoff."""
        history, last = dataset.history, max(dataset.cutoffs)
        weeks = sorted(history.demand.loc[history.demand[DS] <= last, DS].unique())
        features = build_features(history, [pd.Timestamp(w) for w in weeks], max(dataset.horizons))
        features = features[features[H].isin(dataset.horizons)]
        extra: tuple[str, ...] = ()
        if dataset.extra is not None:
            extra = tuple(dataset.extra.columns.drop([UNIQUE_ID, DS]))
            features = features.merge(dataset.extra, on=[UNIQUE_ID, DS], how="left")
            features[list(extra)] = features[list(extra)].fillna(0.0)
        formats = history.stores.drop_duplicates("store_id", keep="last")
        demand = history.demand.merge(formats[["store_id", "format"]], on="store_id", how="left")
        plans = history.prices[[WEEK, H, UNIQUE_ID, DS, "price", "feature", "display"]]
        return cls(dataset.cutoffs, features.reset_index(drop=True), demand, plans, extra)

    def folds(self) -> Iterator[Fold]:
        """Yield the folds, the oldest first."""
        for cutoff in self.cutoffs:
            test = self.features[self.features[WEEK] == cutoff].reset_index(drop=True)
            train = training_frame(self.features, self.demand, cutoff, weeks=TRAINING_WEEKS)
            past = self.demand[self.demand[DS] <= cutoff]
            yield Fold(cutoff, train, test, past, self._plans(cutoff), self.extra)

    def actuals(self) -> pd.DataFrame:
        """Return the demand that came true."""
        return self.demand[[UNIQUE_ID, DS, Y]]

    def _plans(self, cutoff: pd.Timestamp) -> pd.DataFrame:
        happened = self.plans[(self.plans[H] == 0) & (self.plans[WEEK] <= cutoff)]
        planned = self.plans[(self.plans[H] > 0) & (self.plans[WEEK] == cutoff)]
        return pd.concat([happened, planned], ignore_index=True).drop(columns=[WEEK, H])

    def fingerprint(self) -> str:
        """Return a name for these features, folds and demand: another where anything differs."""
        digest = hashlib.sha256(repr((self.cutoffs, self.extra)).encode())
        for table in (self.features, self.demand, self.plans):
            digest.update(repr(list(table.columns)).encode())
            digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write to a folder of the run's own."""
        pd.to_pickle(self, folder / "prepared.pkl")

    @classmethod
    def load(cls, folder: Path) -> "Prepared":
        """Read what this run's own `save` wrote."""
        return pd.read_pickle(folder / "prepared.pkl")  # noqa: S301 (our own file, just written)
