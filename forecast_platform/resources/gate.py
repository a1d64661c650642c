"""The numbers of one region and week that the promotion rule judges, and the rows it fills.

The rule itself is pure and lives in `forecast_platform.forecasting.evaluation.promotion`. Here
the champion is fetched and made to forecast the held-out weeks that it has not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast_platform.errors import CorruptModel
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving import load_registered, records
from forecast_platform.schemas.models import (
    BASELINE,
    KEPT_CHAMPION,
    NO_CHAMPION,
    PROMOTED,
    TRAINED,
)
from forecast_platform.vocabulary import (
    CUTOFF,
    DS,
    ENSEMBLE,
    HISTORICAL_AVERAGE,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    Y,
)

IDENTITY = ("region", "week", "segment", "format", "velocity", "kind", "model_name")
SERVING = ("sha256", "artifact_uri", "cutoff")
NOT_SERVING = {"sha256": None, "artifact_uri": None, "cutoff": pd.NaT}
NO_NUMBERS = dict.fromkeys(("mape_challenger", "mape_champion", "mape_baseline"), np.nan)
Row = Mapping[str, Any]

MIN_SHARED_ROWS = 20
"""Fewer rows with demand say nothing about which of two models is better."""


@dataclass(frozen=True)
class Gate:
    """Judges the challengers of one region and week.

    Parameters
    ----------
    key : RegionWeek
    trained, scores, holdout : pandas.DataFrame
        Rows of `trained_ensembles`, `validation_metrics`, `holdout_forecasts` of ``key``.
    manifest : Mapping[str, Row]
        Newest earlier row of `promotion` of each model name: the champions to beat.
    lake : Lake
        Has the features on which a champion forecasts the held-out weeks.
    registry : Registry
    """

    key: RegionWeek
    trained: pd.DataFrame
    scores: pd.DataFrame
    holdout: pd.DataFrame
    manifest: Mapping[str, Row]
    lake: Lake
    registry: Registry

    def judge(self) -> pd.DataFrame:
        """Judge every model; one row of `promotion` each."""
        return pd.DataFrame([self._judge(row) for row in records(self.trained)])

    def _judge(self, trained: Row) -> dict[str, Any]:
        if trained["kind"] == HISTORICAL_AVERAGE:
            return self._judge_baseline(trained)
        if trained["status"] != TRAINED:
            return self._keep(trained, trained["reason"])
        return self._judge_ensemble(trained)

    def _judge_baseline(self, trained: Row) -> dict[str, Any]:
        if trained["status"] != TRAINED:
            return self._keep(trained, trained["reason"])
        return _serve(trained, BASELINE, "serves whatever has no champion")

    def _judge_ensemble(self, trained: Row) -> dict[str, Any]:
        segment = trained["segment"]
        challenger = self._mape(segment, ENSEMBLE)
        baseline = self._mape(segment, HISTORICAL_AVERAGE)
        champion, on_shared, caveat = self._duel(trained)
        verdict = _decide(challenger, baseline, champion, on_shared)
        numbers = {
            "mape_challenger": challenger,
            "mape_champion": champion,
            "mape_baseline": baseline,
        }
        reason = "; ".join(filter(None, [verdict.reason, caveat]))
        if verdict.is_promoted:
            return _serve(trained, PROMOTED, reason) | numbers
        return self._keep(trained, reason) | numbers

    def _keep(self, trained: Row, reason: str) -> dict[str, Any]:
        """Let the champion of before go on serving, if there is one."""
        before = self.manifest.get(trained["model_name"])
        row = {name: trained[name] for name in IDENTITY} | NO_NUMBERS
        row |= {"challenger_version": trained["model_version"], "reason": reason}
        if before is None or pd.isna(before["champion_version"]):
            return row | {"champion_version": None, "verdict": NO_CHAMPION, **NOT_SERVING}
        kept = {name: before[name] for name in ("champion_version", *SERVING)}
        return row | kept | {"verdict": KEPT_CHAMPION}

    def _mape(self, segment: str, model: str) -> float:
        found = self.scores[(self.scores["segment"] == segment) & (self.scores["model"] == model)]
        return float(found["mape"].iloc[0]) if len(found) else float("nan")

    def _duel(self, trained: Row) -> tuple[float, float, str]:
        """Score champion and challenger on held-out weeks after the champion's cutoff.

        Earlier weeks would be unfair to the challenger: the champion has learnt from them.

        Returns
        -------
        tuple[float, float, str]
            MAPE of the champion and of the challenger on the same rows, nan when they cannot be
            compared; and why not, in words.
        """
        before = self.manifest.get(trained["model_name"])
        if before is None or pd.isna(before["champion_version"]):
            return np.nan, np.nan, "there was no champion"
        unseen = self.holdout[
            (self.holdout[SEGMENT] == trained["segment"])
            & (self.holdout[DS] > before[CUTOFF])
            & (self.holdout[Y] > 0)
        ]
        if len(unseen) < MIN_SHARED_ROWS:
            return np.nan, np.nan, f"only {len(unseen)} held-out rows are new to the champion"
        try:
            model = load_registered(self.registry, before["artifact_uri"], before["sha256"])
        except CorruptModel as error:
            return np.nan, np.nan, f"the champion cannot be loaded: {error}"
        compared = self._with_champion(unseen, model)
        return _mape_of(compared, "champion"), _mape_of(compared, ENSEMBLE), ""

    def _with_champion(self, rows: pd.DataFrame, champion: Any) -> pd.DataFrame:
        """Add the champion's forecasts, made from the features of each fold's cutoff."""
        features = self.lake.read(
            "demand_features", region=self.key.region, weeks=sorted(rows[CUTOFF].unique())
        )
        wanted = rows[[UNIQUE_ID, DS, CUTOFF, Y, ENSEMBLE]].rename(columns={CUTOFF: WEEK})
        joined = features.merge(wanted, on=[UNIQUE_ID, DS, WEEK], validate="one_to_one")
        return joined.assign(champion=champion.predict(joined))


def _serve(trained: Row, verdict: str, reason: str) -> dict[str, Any]:
    """Let the model that was just trained serve."""
    return {
        **{name: trained[name] for name in (*IDENTITY, *SERVING)},
        **NO_NUMBERS,
        "challenger_version": trained["model_version"],
        "champion_version": trained["model_version"],
        "verdict": verdict,
        "reason": reason,
    }
