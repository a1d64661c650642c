"""Champion against challenger on the same held-out rows, new to both.

What is measured; what is good enough is in `forecast_platform.forecasting.evaluation.promotion`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.errors import RegistryError
from forecast_platform.forecasting.evaluation.promotion import PromotionRule
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.manifest import Row
from forecast_platform.resources.packing import ORIGIN
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving_models import load_or_copy
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import STALE_AFTER
from forecast_platform.vocabulary import CUTOFF, DS, ENSEMBLE, SEGMENT, STORE_ID, UNIQUE_ID, WEEK, Y

MIN_SHARED_ROWS: Final = 20
"""Fewer rows with demand say nothing about which of two models is better."""

CATEGORY: Final = "category"
LEVEL: Final = "base_level"
THIRDS: Final = ("smallest third of stores", "middle third of stores", "largest third of stores")
CHAMPION_SAYS: Final = "champion"


@dataclass(frozen=True)
class Duel:
    """MAPEs of both; nan where they could not be compared, and ``words`` say why.

    Attributes
    ----------
    champion, challenger : float
    words : str
        On what they were compared, or why not.
    groups : dict of str to (float, float)
        MAPE of champion and challenger on each large group of rows.
    """

    words: str
    champion: float = np.nan
    challenger: float = np.nan
    groups: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Duels:
    """Holds the challengers of one region and week against their champions.

    Parameters
    ----------
    key : RegionWeek
    holdout : pandas.DataFrame
        Rows of `holdout_forecasts` of ``key``.
    tables : Snapshot
        Has the features on which a champion forecasts the held-out weeks.
    registry : Registry
    rule : PromotionRule
        Says which groups are large.
    """

    key: RegionWeek
    holdout: pd.DataFrame
    tables: Snapshot
    registry: Registry
    rule: PromotionRule

    def fight(self, segment: str, before: Row | None) -> Duel:
        """Score both on held-out weeks after the champion's cutoff.

        Earlier weeks would be unfair to the challenger: the champion has learnt from them. A stale
        champion need not be beaten any more, only the baseline.
        """
        if before is None or pd.isna(before["champion_version"]):
            return Duel("there is no champion")
        if self.key.week - before[CUTOFF] > STALE_AFTER:
            return Duel("the champion is stale")
        own = self.holdout[self.holdout[SEGMENT] == segment]
        unseen = own[(own[DS] > before[CUTOFF]) & (own[Y] > 0)]
        if len(unseen) < MIN_SHARED_ROWS:
            return Duel(f"only {len(unseen)} held-out rows are new to the champion")
        try:
            model, _ = load_or_copy(self.registry, str(before["model_name"]), before)
        except RegistryError as error:
            return Duel(f"the champion cannot be loaded: {error}")
        return self._measured(unseen, model)

    def _measured(self, rows: pd.DataFrame, model: Any) -> Duel:
        table = self._with_champion(rows, model)
        champion, challenger = _mapes(table)
        groups = {
            name: _mapes(own)
            for name, own in _groups(table)
            if len(own) >= self.rule.min_group_rows
        }
        return Duel(f"on {len(table)} rows new to both", champion, challenger, groups)

    def _with_champion(self, rows: pd.DataFrame, champion: Any) -> pd.DataFrame:
        """Add the champion's forecasts, made from the features of the same origins."""
        features = self.tables.read(
            "demand_features", region=self.key.region, weeks=sorted(rows[ORIGIN].unique())
        )
        wanted = rows[[UNIQUE_ID, DS, ORIGIN, Y, ENSEMBLE]].rename(columns={ORIGIN: WEEK})
        joined = features.merge(wanted, on=[UNIQUE_ID, DS, WEEK], validate="one_to_one")
        return joined.assign(**{CHAMPION_SAYS: champion.predict(joined)})


def _mapes(rows: pd.DataFrame) -> tuple[float, float]:
    from forecast_platform.forecasting.evaluation.metrics import mape

    return mape(rows[Y], rows[CHAMPION_SAYS]), mape(rows[Y], rows[ENSEMBLE])


def _groups(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Split rows by category of product, and by thirds of stores of rising volume."""
    for category, own in rows.groupby(CATEGORY, observed=True):
        yield f"category {category}", own
    levels = rows.groupby(STORE_ID, observed=True)[LEVEL].mean()
    if len(levels) < len(THIRDS):
        return
    rank = (levels.rank(method="first") - 1) * len(THIRDS) // len(levels)
    third = rows[STORE_ID].map(rank)
    for number, name in enumerate(THIRDS):
        yield name, rows[(third == number).to_numpy()]
