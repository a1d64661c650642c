"""Trained models on their way out of training: into the registry, and into rows of a table.

Nothing is trained or stored here. Segments name ensembles, formats name baselines.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.members import as_columns
from forecast_platform.resources.registry import Candidate, RegisteredModel, model_name
from forecast_platform.schemas.models import HISTORY_TOO_SHORT, NO_ROWS, NOT_REGISTERED, TRAINED
from forecast_platform.vocabulary import (
    EMBEDDING_NET,
    ENSEMBLE,
    FORMATS,
    HISTORICAL_AVERAGE,
    LASSO,
    MEMBERS,
    VELOCITIES,
    WEEK,
)

if TYPE_CHECKING:
    from forecast_platform.forecasting.training import RegionModels

ORIGIN = "origin"
METRICS = ("mape", "wape", "rmse_0", "rmse_all", "bias", "coverage_80", "pinball")
OF_THE_RANGE = ("coverage_80", "pinball")
"""Metrics that only the ensemble has."""


def candidates_of(region: str, models: "RegionModels") -> dict[str, Candidate]:
    """Pack every model that was trained, by its segment (baselines by their format)."""
    from forecast_platform.forecasting.models.files import to_files

    packed = {}
    for segment, ensemble in models.ensembles.items():
        form, _, velocity = segment.partition("_")
        packed[segment] = Candidate(
            name=model_name(region, form, velocity),
            files=to_files(ensemble),
            alias="challenger",
            tags={"format": form, "velocity": velocity, "kind": ENSEMBLE},
        )
    for form, baseline in models.baselines.items():
        packed[form] = Candidate(
            name=model_name(region, form, HISTORICAL_AVERAGE),
            files=to_files(baseline),
            alias="baseline",
            tags={"format": form, "kind": HISTORICAL_AVERAGE},
        )
    return packed


def metrics_of(scores: pd.DataFrame) -> dict[str, float]:
    """Name scores for the registry, ``<segment>/<model>/<metric>``."""
    return {
        f"{row['segment']}/{row['model']}/{metric}": float(row[metric])
        for row in scores.to_dict("records")
        for metric in METRICS
        if metric not in OF_THE_RANGE or row["model"] == ENSEMBLE
    }


def rows_of_models(
    key: RegionWeek,
    models: "RegionModels",
    registered: Mapping[str, RegisteredModel],
    seconds: float,
    problem: str = "",
) -> pd.DataFrame:
    """Describe the six models of a region and week, also those that there are not.

    Parameters
    ----------
    key : RegionWeek
    models : RegionModels
    registered : Mapping[str, RegisteredModel]
        By segment, or format of a baseline.
    seconds : float
        Duration of the training [seconds].
    problem : str, default=""
        Why models that were trained are not registered.
    """
    described = [
        _origin(key.region, form, velocity)
        | _result(models, segment_of(form, velocity), registered, problem)
        for form in FORMATS
        for velocity in (*VELOCITIES, None)
    ]
    return pd.DataFrame(described).assign(
        region=key.region, week=key.week, cutoff=key.week, train_seconds=seconds
    )


def segment_of(form: str, velocity: str | None) -> str:
    """Name an ensemble's segment; a baseline's is its format."""
    return f"{form}_{velocity}" if velocity else form


def _origin(region: str, form: str, velocity: str | None) -> dict[str, Any]:
    return {
        "segment": segment_of(form, velocity),
        "format": form,
        "velocity": velocity,
        "kind": ENSEMBLE if velocity else HISTORICAL_AVERAGE,
        "model_name": model_name(region, form, velocity or HISTORICAL_AVERAGE),
    }


def _result(
    models: "RegionModels",
    segment: str,
    registered: Mapping[str, RegisteredModel],
    problem: str,
) -> dict[str, Any]:
    found, ensemble = registered.get(segment), models.ensembles.get(segment)
    weights = ensemble.weights_ if ensemble is not None else {}
    others = {name: weight for name, weight in weights.items() if name not in MEMBERS}
    is_lost = not found and (ensemble is not None or segment in models.baselines)
    reason = problem if is_lost else models.skipped.get(segment)
    n_rows, n_series = models.sizes.get(segment, (0, 0))
    return {
        "n_rows": n_rows,
        "n_series": n_series,
        "model_version": found and found.version,
        "mlflow_run_id": found and found.run_id,
        "sha256": found and found.sha256,
        "artifact_uri": found and found.artifact_uri,
        "weight_lasso": weights.get(LASSO),
        "weight_embedding_net": weights.get(EMBEDDING_NET),
        "other_weights": json.dumps(others) if others else None,
        "status": TRAINED if found else _missing(n_rows, is_lost=is_lost),
        "reason": None if found else reason,
    }


def _missing(n_rows: int, *, is_lost: bool) -> str:
    if is_lost:
        return NOT_REGISTERED
    return HISTORY_TOO_SHORT if n_rows else NO_ROWS


def holdout_of(key: RegionWeek, models: "RegionModels") -> pd.DataFrame:
    """Keep the week of a held-out forecast apart from the week whose models it validates."""
    held_out = models.holdout.rename(columns={WEEK: ORIGIN})
    members = as_columns(held_out[list(models.members)])
    return held_out.assign(region=key.region, week=key.week, **members)
