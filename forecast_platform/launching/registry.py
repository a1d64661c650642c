"""The registry of a deployment for the command line, opened without the definitions.

Loading the definitions takes seconds. What a registry does is in `forecast_platform.resources`.
"""

from forecast_platform.resources.registry import ModelRegistry
from forecast_platform.settings import Settings


def open_registry(settings: Settings) -> ModelRegistry:
    """Open the registry that the settings name."""
    return ModelRegistry(
        tracking_uri=settings.registry,
        artifacts_uri=settings.registry_artifacts,
        copies_folder=str(settings.model_copies),
        keep_days=settings.keep_models_days,
    )
