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
from forecast_platform.resources.packing import ORIGIN
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving import load_registered, records
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import (
    BASELINE,
    KEPT_CHAMPION,
    NO_CHAMPION,
    PROMOTED,
    STALE_AFTER,
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
class Duel:
    """Champion against challenger on the same rows; nan where they could not be compared."""

    reason: str
    champion: float = np.nan
    challenger: float = np.nan

    def is_lost(self, tolerance: float) -> bool:
        """Whether the challenger is worse by more than a share of the champion's error."""
        return self.challenger > self.champion * (1 + tolerance)


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
    tables : Snapshot
        Has the features on which a champion forecasts the held-out weeks.
    registry : Registry
    """

    key: RegionWeek
    trained: pd.DataFrame
    scores: pd.DataFrame
    holdout: pd.DataFrame
    manifest: Mapping[str, Row]
    tables: Snapshot
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
        from forecast_platform.forecasting.evaluation.promotion import PromotionRule

        rule = PromotionRule()
        segment = trained["segment"]
        challenger = self._mape(segment, ENSEMBLE)
        baseline = self._mape(segment, HISTORICAL_AVERAGE)
        numbers = {"mape_challenger": challenger, "mape_baseline": baseline}
        verdict = rule.judge(challenger=challenger, baseline=baseline)
        if not verdict.is_promoted:
            return self._keep(trained, verdict.reason) | numbers
        duel = self._duel(trained)
        numbers["mape_champion"] = duel.champion
        if duel.is_lost(rule.tolerance):
            return self._keep(trained, duel.reason) | numbers
        passed = f"MAPE {challenger:.3f} beats the historical average, {baseline:.3f}"
        return _serve(trained, PROMOTED, f"{passed}; {duel.reason}") | numbers

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

    def _duel(self, trained: Row) -> "Duel":
        """Score champion and challenger on held-out weeks after the champion's cutoff.

        Earlier weeks would be unfair to the challenger: the champion has learnt from them. A stale
        champion need not be beaten any more, only the baseline.
        """
        before = self.manifest.get(trained["model_name"])
        if before is None or pd.isna(before["champion_version"]):
            return Duel("there is no champion")
        if self.key.week - before[CUTOFF] > STALE_AFTER:
            return Duel("the champion is stale")
        own = self.holdout[self.holdout[SEGMENT] == trained["segment"]]
        unseen = own[(own[DS] > before[CUTOFF]) & (own[Y] > 0)]
        if len(unseen) < MIN_SHARED_ROWS:
            return Duel(f"only {len(unseen)} held-out rows are new to the champion")
        try:
            model = load_registered(self.registry, before["artifact_uri"], before["sha256"])
        except CorruptModel as error:
            return Duel(f"the champion cannot be loaded: {error}")
        return self._measured(unseen, model)

    def _measured(self, rows: pd.DataFrame, model: Any) -> "Duel":
        from forecast_platform.forecasting.evaluation.metrics import mape

        table = self._with_champion(rows, model)
        champion, challenger = (mape(table[Y], table[who]) for who in ("champion", ENSEMBLE))
        words = f"MAPE {challenger:.3f} against the champion's {champion:.3f} on {len(table)} rows"
        return Duel(f"{words} new to both", champion, challenger)

    def _with_champion(self, rows: pd.DataFrame, champion: Any) -> pd.DataFrame:
        """Add the champion's forecasts, made from the features of the same origins."""
        features = self.tables.read(
            "demand_features", region=self.key.region, weeks=sorted(rows[ORIGIN].unique())
        )
        wanted = rows[[UNIQUE_ID, DS, ORIGIN, Y, ENSEMBLE]].rename(columns={ORIGIN: WEEK})
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
