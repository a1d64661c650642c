"""Column names, categories and units shared by every room.

Only names live here: no logic, no defaults of models, no schemas.
"""

from typing import Final

REGION: Final = "region"
WEEK: Final = "week"
"""Partition column: the Monday of the week at whose close the row was known."""

STORE_ID: Final = "store_id"
PRODUCT_ID: Final = "product_id"
UNIQUE_ID: Final = "unique_id"
"""``<store_id>/<product_id>``: one series, as in Nixtla's libraries."""

DS: Final = "ds"
"""Monday that opens the week the row is about."""

Y: Final = "y"
"""Net demand: shipped minus returned, clipped at 0 [units]."""

Y_HAT: Final = "y_hat"
CUTOFF: Final = "cutoff"
"""Last week whose demand a model or a feature row has seen."""

H: Final = "h"
"""Weeks ahead of the cutoff, from 1."""

FORMAT: Final = "format"
VELOCITY: Final = "velocity"
SEGMENT: Final = "segment"
"""``<format>_<velocity>``, for example ``large_fast``."""

FORMATS: Final = ("large", "small")
VELOCITIES: Final = ("slow", "fast")

ENSEMBLE: Final = "ensemble"
LASSO: Final = "lasso"
EMBEDDING_NET: Final = "embedding_net"
HISTORICAL_AVERAGE: Final = "historical_average"
MEMBERS: Final = (LASSO, EMBEDDING_NET)

SHOPPER_COLUMNS: Final = (
    "share_age_60_plus",
    "share_college",
    "share_ethnic_minority",
    "median_income",
    "share_large_households",
    "share_working_women",
    "share_high_value_homes",
    "warehouse_distance",
    "warehouse_volume_ratio",
    "competitor_distance",
    "competitor_volume_ratio",
)
"""Demographics of a store's shoppers and its trade area; any of them may be missing."""

NO_EVENT: Final = "none"
"""Value of the event columns in a week without an event."""
