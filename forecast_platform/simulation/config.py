"""Size and character of the simulated retailer.

Only parameters and their validation live here; what they mean is in the modules that use them.
"""

import re
from dataclasses import dataclass
from datetime import date

from forecast_platform.simulation.streams import monday_of, week_number

DEFAULT_REGIONS = (
    "north_texas",
    "south_texas",
    "southern_california",
    "northern_california",
    "pacific_northwest",
    "great_lakes",
    "ohio_valley",
    "new_england",
    "mid_atlantic",
    "florida",
    "gulf_coast",
    "carolinas",
    "rocky_mountains",
    "desert_southwest",
)

_REGION = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def default_regions(count: int) -> tuple[str, ...]:
    """Name ``count`` regions; beyond the fourteenth they are numbered.

    >>> default_regions(15)[-1]
    'region_15'
    """
    numbered = tuple(f"region_{i}" for i in range(len(DEFAULT_REGIONS) + 1, count + 1))
    return DEFAULT_REGIONS[:count] + numbered


@dataclass(frozen=True, kw_only=True)
class RetailerConfig:
    """One retailer: the same values give the same files, byte for byte.

    Attributes
    ----------
    seed
        Of every random choice.
    regions
        Names; a region's data depends on its name and the seed, not on the other regions.
    stores_per_region, products
        Counts. The first four of each are there all the time; others open, close, are launched
        or delisted.
    first_week
        Monday of the first delivered week.
    n_weeks
        Weeks that `simulate` delivers; more weeks extend fewer weeks.
    horizon
        How far ahead promotions are planned and weather is forecast [weeks].
    promotion_share
        Share of a product's weeks that are on promotion in a chain of stores.
    """

    seed: int = 0
    regions: tuple[str, ...] = DEFAULT_REGIONS
    stores_per_region: int = 8
    products: int = 12
    first_week: date = date(2023, 1, 2)
    n_weeks: int = 104
    horizon: int = 4
    promotion_share: float = 0.22

    def __post_init__(self) -> None:
        if self.first_week.weekday() != 0:
            raise ValueError(f"first_week must be a Monday, got {self.first_week:%A %Y-%m-%d}")
        if not 0.0 <= self.promotion_share <= 0.3:
            raise ValueError(f"promotion_share must be in 0 to 0.3, got {self.promotion_share}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        self._check_regions()
        self._check_counts()

    def _check_regions(self) -> None:
        if not self.regions or len(set(self.regions)) != len(self.regions):
            raise ValueError(f"regions must be named, each once, got {self.regions}")
        for region in self.regions:
            if not _REGION.fullmatch(region):
                raise ValueError(f"{region!r} is not a region name: a-z, 0-9, '_' and '-' only")

    def _check_counts(self) -> None:
        for name in ("stores_per_region", "products", "n_weeks", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def first_week_number(self) -> int:
        """Number of the first week, see `streams.week_number`."""
        return week_number(self.first_week)

    @property
    def last_week(self) -> date:
        """Monday of the last delivered week."""
        return monday_of(self.first_week_number + self.n_weeks - 1)
