"""The models of every region and week: four ensembles and two baselines, registered.

How a model is trained belongs to `forecast_platform.forecasting.training`, where it is kept to
`forecast_platform.resources.registry`. See
https://docs.dagster.io/guides/observe/asset-freshness-policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.errors import RegistryUnavailable
from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    by_region,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.code_version import training_code_digest
from forecast_platform.resources.feature_codes import FEATURES, FeatureCodes
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.members import member_paths
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.packing import (
    candidates_of,
    holdout_of,
    metrics_of,
    rows_of_models,
)
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.region_training import TrainingInputs, read_inputs, train_at
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.reporting import Problems, report
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.resources.triggers import triggered_by
from forecast_platform.schemas.metrics import HoldoutForecasts
from forecast_platform.schemas.models import STALE_AFTER, TRAINED, TrainedEnsembles
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import WEEK


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
    average serves, or members start from those of other regions' champions. While the registry
    cannot be reached, models are lost: their rows say so, the champions of before go on, and a
    check fails. Forecasts of held-out weeks go to the table `holdout_forecasts`.

    Grain: one row per region, week and model: four ensembles and two baselines.
    """
    keys = region_weeks_of(context)
    problems, trained, tables = Problems(), [], Snapshot(lake)
    cause, codes = _cause(context, model_settings), FeatureCodes(lake)
    for region, weeks in by_region(keys).items():
        inputs = read_inputs(tables, region, weeks, model_settings, registry)
        for key in (RegionWeek(region, week) for week in weeks):
            with problems.of(key):
                one = _train(key, inputs, tables, registry, model_settings, cause)
                trained += [
                    one.with_others(_other_code(key, inputs, tables, model_settings, codes))
                ]
    if not trained:
        problems.raise_any()
    for warning in (warning for one in trained for warning in one.warnings):
        context.log.warning(warning)
    result = _write(context, trained, tables, model_settings, cause)
    problems.raise_any()
    return result


def _cause(context: dg.AssetExecutionContext, settings: ModelSettings) -> dict[str, str]:
    """Say what started the training, and which code it runs."""
    return {
        "code_digest": training_code_digest(member_paths(settings.members)),
        "triggered_by": triggered_by(context.run.tags),
    }


@dataclass(frozen=True)
class _Trained:
    """What one region and week ends with."""

    key: RegionWeek
    rows: pd.DataFrame
    holdout: pd.DataFrame
    seconds: float
    donors: tuple[str, ...] = ()

    def with_others(self, weeks: Sequence[pd.Timestamp]) -> "_Trained":
        """Note how many weeks were learnt from whose features other code made."""
        return replace(self, rows=self.rows.assign(n_weeks_of_other_code=len(weeks)))

    @property
    def warnings(self) -> list[str]:
        missing = self.rows[self.rows["status"] != TRAINED]
        return [
            f"{self.key.key}: no model of {row.segment}: {row.reason}"
            for row in missing.itertuples()
        ]


def _other_code(
    key: RegionWeek,
    inputs: TrainingInputs,
    tables: Snapshot,
    settings: ModelSettings,
    codes: FeatureCodes,
) -> list[pd.Timestamp]:
    """Find the weeks learnt from whose features other code made than the newest ones."""
    since = key.week - pd.Timedelta(weeks=settings.training_weeks)
    weeks = [week for week in inputs.features[WEEK].unique() if since <= week <= key.week]
    return codes.others(key.region, weeks, tables.versions[FEATURES])


def _train(  # noqa: PLR0917
    key: RegionWeek,
    inputs: TrainingInputs,
    tables: Snapshot,
    registry: Registry,
    settings: ModelSettings,
    cause: dict[str, str],
) -> _Trained:
    from forecast_platform.forecasting.evaluation.scores import score_by_segment
    from forecast_platform.forecasting.models.signature import descriptors

    started = perf_counter()
    models = train_at(key, inputs, settings)
    seconds = perf_counter() - started
    packed = candidates_of(key.region, models)
    registered, problem = {}, ""
    try:
        logged = registry.log_region_week(
            key.region,
            key.week,
            list(packed.values()),
            metrics=metrics_of(score_by_segment(models.holdout, models.members)),
            params=settings.model_dump(),
            tags=_tags(tables, settings) | _lent(models.donors) | cause,
            descriptors=descriptors(inputs.features),
        )
        registered = dict(zip(packed, logged, strict=True))
    except RegistryUnavailable as error:  # the champions of before go on: no week is missed
        problem = f"trained, but lost: {error}; materialize the week again when it answers"
    rows = rows_of_models(key, models, registered, seconds, problem).assign(**cause)
    return _Trained(key, rows, holdout_of(key, models), seconds, models.donors)


def _tags(tables: Snapshot, settings: ModelSettings) -> dict[str, str]:
    """Say in the registry what a model was made from."""
    versions = {f"version_{table}": str(one) for table, one in tables.versions.items()}
    return {**versions, "git_commit": tables.lake.git_commit, "seed": str(settings.seed)}


def _lent(donors: tuple[str, ...]) -> dict[str, str]:
    return {"started_from": ", ".join(donors)} if donors else {}


def _write(
    context: dg.AssetExecutionContext,
    trained: Sequence[_Trained],
    tables: Snapshot,
    settings: ModelSettings,
    cause: dict[str, str],
) -> dg.MaterializeResult:
    keys, lake = [one.key for one in trained], tables.lake
    lent = {one.key.key: list(one.donors) for one in trained if one.donors}
    provenance = made_from(
        tables.versions,
        settings=settings.model_dump(),
        **cause,
        **({"donors": lent} if lent else {}),
    )
    holdout = as_table(pd.concat([one.holdout for one in trained]), HoldoutForecasts)
    lake.write(
        "holdout_forecasts",
        holdout,
        keys,
        run_id=context.run_id,
        provenance=provenance,
        allow_empty=True,
    )
    table = as_table(pd.concat([one.rows for one in trained]), TrainedEnsembles)
    receipt = lake.write(
        "trained_ensembles", table, keys, run_id=context.run_id, provenance=provenance
    )
    by_key = {one.key: _describe(one) for one in trained}
    return report(context, lake, receipt, read=tables.versions, details=cause, by_key=by_key)


def _describe(one: _Trained) -> dict[str, Any]:
    runs = one.rows["mlflow_run_id"].dropna()
    shown = one.rows[["model_name", "model_version", "status", "n_rows", "n_series"]]
    return {
        "n_trained": int((one.rows["status"] == TRAINED).sum()),
        "train_seconds": round(one.seconds, 2),
        **({"mlflow_run_id": str(runs.iloc[0])} if len(runs) else {}),
        "models": dg.MetadataValue.md(shown.to_markdown(index=False)),
        **({"problems": "\n".join(one.warnings)} if one.warnings else {}),
        **({"started_from": ", ".join(one.donors)} if one.donors else {}),
    }
