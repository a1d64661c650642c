"""Every table from features to forecasts, and those on data quality, held to their contracts."""

from forecast_platform.assets.experiments import experiment_results
from forecast_platform.assets.explanations import forecast_contributions, model_explanations
from forecast_platform.assets.features import demand_features
from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.promotion import promotion
from forecast_platform.assets.quality import quality_checks, quality_rows
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.checks.schema import build_schema_check, build_schema_checks
from forecast_platform.schemas.deep import DeepBacktest, DeepForecasts
from forecast_platform.schemas.experiments import ExperimentResults
from forecast_platform.schemas.explanations import ForecastContributions, ModelExplanations
from forecast_platform.schemas.features import DemandFeatures
from forecast_platform.schemas.forecasts import Forecasts
from forecast_platform.schemas.metrics import ValidationMetrics
from forecast_platform.schemas.models import Promotion, TrainedEnsembles
from forecast_platform.schemas.quality import QualityChecks, QualityRows

contract_checks = [
    build_schema_check(demand_features, DemandFeatures),
    build_schema_check(trained_ensembles, TrainedEnsembles),
    build_schema_check(validation_metrics, ValidationMetrics),
    build_schema_check(promotion, Promotion),
    build_schema_check(forecasts, Forecasts),
    build_schema_check(model_explanations, ModelExplanations),
    build_schema_check(forecast_contributions, ForecastContributions),
]
quality_contract_checks = [
    build_schema_check(quality_rows, QualityRows),
    build_schema_check(quality_checks, QualityChecks),
]
deep_contract_checks = build_schema_checks(
    "deep_horizon_schemas", {"deep_forecasts": DeepForecasts, "deep_backtest": DeepBacktest}
)
monitoring_contract_checks = [build_schema_check(experiment_results, ExperimentResults)]
