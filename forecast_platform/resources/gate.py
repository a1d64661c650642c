"""The gate of one region and week: what the rule says of each challenger, and what follows.

The rule itself is pure and lives in `forecast_platform.forecasting.evaluation.promotion`; its
numbers come from validation and from `duel`. What a person decided about a version stands above it.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.evaluation.promotion import Finding, Measured, Verdict
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.decisions import Decisions
from forecast_platform.resources.duel import Duels
from forecast_platform.resources.lifecycle import Lifecycle
from forecast_platform.resources.manifest import Manifest, Row, records
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import (
    APPROVED,
    BASELINE,
    KEPT_CHAMPION,
    NO_CHAMPION,
    PENDING,
    PROMOTED,
    REJECTED,
    ROLLED_BACK,
    TRAINED,
)
from forecast_platform.vocabulary import ENSEMBLE, HISTORICAL_AVERAGE, SEGMENT

IDENTITY: Final = ("region", "week", "segment", "format", "velocity", "kind", "model_name")
SERVING: Final = ("sha256", "artifact_uri", "cutoff")
NOT_SERVING: Final = {"sha256": None, "artifact_uri": None, "cutoff": pd.NaT}
NO_NUMBERS: Final = dict.fromkeys(("mape_challenger", "mape_champion", "mape_baseline"), np.nan)
RULE: Final = "rule"
"""Who decided, when nobody did."""


@dataclass(frozen=True)
class Judged:
    """What became of one model.

    Attributes
    ----------
    row : dict
        Its row of `promotion`.
    before : int or None
        Version that served before.
    findings : tuple of Finding
        Every condition that was looked at.
    """

    row: dict[str, Any]
    before: int | None
    findings: tuple[Finding, ...] = ()

    @property
    def numbers(self) -> str:
        """Every condition with its number, as JSON."""
        return numbers_of(self.findings)


@dataclass(frozen=True)
class Gate:
    """Judges the challengers of one region and week.

    Parameters
    ----------
    key : RegionWeek
    trained, scores, holdout : pandas.DataFrame
        Rows of `trained_ensembles`, `validation_metrics`, `holdout_forecasts` of ``key``.
    manifest : Manifest
        Promotions of the weeks before: the champions to beat.
    tables : Snapshot
        Has the features on which a champion forecasts the held-out weeks.
    registry : Registry
    lifecycle : Lifecycle
        The rule, and whether who passes it serves at once.
    decisions : Decisions
        What persons have said of single versions.
    """

    key: RegionWeek
    trained: pd.DataFrame
    scores: pd.DataFrame
    holdout: pd.DataFrame
    manifest: Manifest
    tables: Snapshot
    registry: Registry
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    decisions: Decisions = field(default_factory=Decisions)

    def judge(self) -> list[Judged]:
        """Judge every model of the region."""
        return [self._judge(row) for row in records(self.trained)]

    def _judge(self, trained: Row) -> Judged:
        if trained["status"] != TRAINED:
            return Judged(self._keep(trained, str(trained["reason"])), self._before(trained))
        if trained["kind"] == HISTORICAL_AVERAGE:
            row = _serve(trained, BASELINE, "serves whatever has no champion")
            return Judged(row, self._before(trained))
        return self._judge_ensemble(trained)

    def _judge_ensemble(self, trained: Row) -> Judged:
        measured = self._measure(trained)
        verdict = self.lifecycle.rule.judge(measured)
        numbers = {
            "mape_challenger": measured.challenger,
            "mape_baseline": measured.baseline,
            "mape_champion": np.nan if measured.champion is None else measured.champion,
        }
        row = self._follow(trained, verdict) | numbers
        return Judged(row, self._before(trained), verdict.findings)

    def _follow(self, trained: Row, verdict: Verdict) -> dict[str, Any]:
        """Do as a person has said, or else as the rule says."""
        said = self.decisions.of(str(trained["model_name"]), int(trained["model_version"]))
        if said is not None and said.verdict == APPROVED:
            return _serve(trained, APPROVED, said.words)
        if said is not None and said.verdict in {REJECTED, ROLLED_BACK}:
            return self._keep(trained, said.words) | {"verdict": said.verdict}
        if not verdict.is_promoted:
            return self._keep(trained, verdict.reason)
        if self.lifecycle.mode == "manual":
            waits = f"waits for approval: {verdict.reason}"
            return self._keep(trained, waits) | {"verdict": PENDING}
        return _serve(trained, PROMOTED, verdict.reason)

    def _keep(self, trained: Row, reason: str) -> dict[str, Any]:
        """Let the champion of before go on serving, if there is one."""
        before = self.manifest.champion(trained["model_name"])
        row = {name: trained[name] for name in IDENTITY} | NO_NUMBERS
        row |= {"challenger_version": trained["model_version"], "reason": reason}
        if before is None or pd.isna(before["champion_version"]):
            return row | {"champion_version": None, "verdict": NO_CHAMPION, **NOT_SERVING}
        kept = {name: before[name] for name in ("champion_version", *SERVING)}
        return row | kept | {"verdict": KEPT_CHAMPION}

    def _before(self, trained: Row) -> int | None:
        before = self.manifest.champion(trained["model_name"])
        if before is None or pd.isna(before["champion_version"]):
            return None
        return int(before["champion_version"])

    def _measure(self, trained: Row) -> Measured:
        segment = str(trained[SEGMENT])
        challenger = self._score(segment, ENSEMBLE, "mape")
        before = self.manifest.champion(trained["model_name"])
        rule = self.lifecycle.rule
        duels = Duels(self.key, self.holdout, self.tables, self.registry, rule)
        duel = duels.fight(segment, before)
        return Measured(
            challenger=challenger,
            baseline=self._score(segment, HISTORICAL_AVERAGE, "mape"),
            bias=self._score(segment, ENSEMBLE, "bias"),
            coverage=self._score(segment, ENSEMBLE, "coverage_80"),
            champion=duel.champion,
            rival=duel.challenger,
            duel=duel.words,
            groups=duel.groups,
        )

    def _score(self, segment: str, model: str, metric: str) -> float:
        """Look a score up; nan where validation has none, or not this metric."""
        found = self.scores[(self.scores["segment"] == segment) & (self.scores["model"] == model)]
        if metric not in found or found.empty:
            return float("nan")
        value = found[metric].iloc[0]
        return float("nan") if pd.isna(value) else float(value)


def log_rows(
    judged: list[Judged], *, mode: str, decided_at: str, run_id: str
) -> list[dict[str, Any]]:
    """Make the rows of `promotion_log` of the ensembles that were judged."""
    return [
        {
            **{name: one.row[name] for name in ("region", "week", "segment", "model_name")},
            "verdict": one.row["verdict"],
            "mode": mode,
            "version": one.row["challenger_version"],
            "champion_before": one.before,
            "champion_after": one.row["champion_version"],
            "who": RULE,
            "why": one.row["reason"],
            "numbers_json": one.numbers,
            "decided_at": decided_at,
            "run_id": run_id,
        }
        for one in judged
        if one.row["kind"] == ENSEMBLE
    ]


def numbers_of(findings: tuple[Finding, ...]) -> str:
    """Write conditions with their numbers as JSON; a number that is undefined is null."""
    told = [
        {
            "condition": one.condition,
            "value": _plain(one.value),
            "limit": _plain(one.limit),
            "passed": one.passed,
        }
        for one in findings
    ]
    return json.dumps(told, allow_nan=False)


def _plain(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


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
