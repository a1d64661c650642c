"""The models of every region and week: four ensembles and two baselines, registered.

How a model is trained belongs to `forecast_platform.forecasting.training`, where it is kept to
`forecast_platform.resources.registry`. See
https://docs.dagster.io/guides/observe/asset-freshness-policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    by_region,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.packing import (
    candidates_of,
    holdout_of,
    metrics_of,
    rows_of_models,
)
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import Problems, report
from forecast_platform.schemas.metrics import HoldoutForecasts
from forecast_platform.schemas.models import STALE_AFTER, TRAINED, TrainedEnsembles
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import FORMAT, STORE_ID


@dg.asset(
    group_name="training",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=["demand_features", "fct_weekly_demand"],
    kinds={"pytorch", "numpy", "mlflow"},
    owners=["team:forecasting"],
    code_version="1",
    # Looks at the newest region only: the check `models_are_fresh` is the one that counts.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER),
    metadata=column_schema(TrainedEnsembles),
)
def trained_ensembles(
    context: dg.AssetExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    model_settings: ModelSettings,
) -> dg.MaterializeResult:
    """Ensembles of a LASSO regression and an embedding net per segment, and their baselines.

    Trained on the demand known at the close of the week and registered in MLflow as challengers.
    Where the history is too short there is no ensemble: the row says so, and the historical
    average serves. Forecasts of held-out weeks go to the table `holdout_forecasts`.

    Grain: one row per region, week and model: four ensembles and two baselines.
    """
    keys = region_weeks_of(context)
    problems, trained, read = Problems(), [], {}
    for region, weeks in by_region(keys).items():
        inputs = _read_inputs(lake, region, weeks, model_settings)
        read |= inputs.versions
        for key in (RegionWeek(region, week) for week in weeks):
            with problems.of(key):
                trained += [_train(key, inputs, registry, model_settings)]
    if not trained:
        problems.raise_any()
    for warning in (warning for one in trained for warning in one.warnings):
        context.log.warning(warning)
    result = _write(context, lake, trained, read)
    problems.raise_any()
    return result


@dataclass(frozen=True)
class _Inputs:
    """What one region's models of some weeks are made from."""

    features: pd.DataFrame
    demand: pd.DataFrame
    versions: dict[str, int]
    git_commit: str

    @property
    def tags(self) -> dict[str, str]:
        """Say in the registry what a model was made from."""
        versions = {f"version_{table}": str(one) for table, one in self.versions.items()}
        return {**versions, "git_commit": self.git_commit}


@dataclass(frozen=True)
class _Trained:
    """What one region and week ends with."""

    key: RegionWeek
    rows: pd.DataFrame
    holdout: pd.DataFrame
    seconds: float

    @property
    def warnings(self) -> list[str]:
        missing = self.rows[self.rows["status"] != TRAINED]
        return [
            f"{self.key.key}: no model of {row.segment}: {row.reason}"
            for row in missing.itertuples()
        ]


def _read_inputs(
    lake: Lake, region: str, weeks: Sequence[pd.Timestamp], settings: ModelSettings
) -> _Inputs:
    since = weeks[0] - pd.Timedelta(weeks=settings.training_weeks)
    features = lake.read("demand_features", region=region, since=since, until=weeks[-1])
    demand = lake.read("fct_weekly_demand", region=region, until=weeks[-1])
    versions = {frame.attrs["table"]: frame.attrs["version"] for frame in (features, demand)}
    return _Inputs(features, demand, versions, lake.git_commit)


def _train(
    key: RegionWeek, inputs: _Inputs, registry: Registry, settings: ModelSettings
) -> _Trained:
    from forecast_platform.forecasting.evaluation.scores import score_by_segment
    from forecast_platform.forecasting.training import TrainingConfig, train_region

    started = perf_counter()
    frame, demand = _known_at(key, inputs, settings)
    config = TrainingConfig(
        horizon=settings.horizon,
        epochs=settings.epochs,
        seed=settings.seed,
        threads=settings.threads,
        min_history_weeks=settings.min_history_weeks,
    )
    models = train_region(frame, demand, cutoff=key.week, config=config)
    seconds = perf_counter() - started
    packed = candidates_of(key.region, models)
    logged = registry.log_region_week(
        key.region,
        key.week,
        list(packed.values()),
        metrics=metrics_of(score_by_segment(models.holdout)),
        params=settings.model_dump(),
        tags={**inputs.tags, "seed": str(settings.seed)},
    )
    registered = dict(zip(packed, logged, strict=True))
    rows = rows_of_models(key, models, registered, seconds)
    return _Trained(key, rows, holdout_of(key, models), seconds)


def _known_at(
    key: RegionWeek, inputs: _Inputs, settings: ModelSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the region's inputs down to what was known at the close of one week."""
    from forecast_platform.forecasting.features.training import training_frame

    demand = inputs.demand[inputs.demand["week"] <= key.week]
    features = inputs.features[inputs.features["week"] <= key.week]
    if demand.empty or not (features["week"] == key.week).any():
        raise TableMissing(
            f"{key.key} has no demand or no features yet: materialize fct_weekly_demand and "
            "demand_features first"
        )
    frame = training_frame(features, demand, key.week, weeks=settings.training_weeks)
    formats = features.sort_values("week").drop_duplicates(STORE_ID, keep="last")
    return frame, demand.merge(formats[[STORE_ID, FORMAT]], on=STORE_ID, how="left")


def _write(
    context: dg.AssetExecutionContext,
    lake: Lake,
    trained: Sequence[_Trained],
    read: Mapping[str, int],
) -> dg.MaterializeResult:
    keys = [one.key for one in trained]
    holdout = as_table(pd.concat([one.holdout for one in trained]), HoldoutForecasts)
    lake.write(
        "holdout_forecasts",
        holdout,
        keys,
        run_id=context.run_id,
        provenance=read,
        allow_empty=True,
    )
    table = as_table(pd.concat([one.rows for one in trained]), TrainedEnsembles)
    receipt = lake.write("trained_ensembles", table, keys, run_id=context.run_id, provenance=read)
    by_key = {one.key: _describe(one) for one in trained}
    return report(context, lake, receipt, read=read, by_key=by_key)


def _describe(one: _Trained) -> dict[str, Any]:
    shown = one.rows[["model_name", "model_version", "status", "n_rows", "n_series"]]
    return {
        "n_trained": int((one.rows["status"] == TRAINED).sum()),
        "train_seconds": round(one.seconds, 2),
        "mlflow_run_id": str(one.rows["mlflow_run_id"].dropna().iloc[0]),
        "models": dg.MetadataValue.md(shown.to_markdown(index=False)),
        **({"problems": "\n".join(one.warnings)} if one.warnings else {}),
    }
