"""A seeded retailer that delivers plain files as a customer would.

Belongs here: a made-up world (stores, products, weather, events, promotions, demand), the files
it delivers, the ways a delivery goes wrong, and the truth that a benchmark compares with. Does
not belong here: reading deliveries, tables of the lake, models. Pure numpy, pandas and pyarrow.

>>> from forecast_platform.simulation import RetailerConfig, default_regions
>>> RetailerConfig(regions=default_regions(2), n_weeks=3).last_week
datetime.date(2023, 1, 16)
"""

from forecast_platform.simulation.config import RetailerConfig, default_regions
from forecast_platform.simulation.delivery import SimulationReport, simulate, simulate_weeks
from forecast_platform.simulation.truth import oracle_forecast, read_truth
from forecast_platform.simulation.warts import WARTS, WartRecord, apply_warts

__all__ = [
    "WARTS",
    "RetailerConfig",
    "SimulationReport",
    "WartRecord",
    "apply_warts",
    "default_regions",
    "oracle_forecast",
    "read_truth",
    "simulate",
    "simulate_weeks",
]
