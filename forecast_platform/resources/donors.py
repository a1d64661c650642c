"""Models that other regions lend to a region whose history is too short to learn from alone.

Which champions they are; how a member starts from them is in
`forecast_platform.forecasting.models.warm_start`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast_platform.errors import RegistryError
from forecast_platform.resources.manifest import PROMOTION, records
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving_models import load_or_copy
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import STALE_AFTER
from forecast_platform.vocabulary import CUTOFF, ENSEMBLE, REGION, WEEK

MAX_REGIONS = 3
"""Regions that lend: each makes the model's file and its scoring that much larger."""


@dataclass(frozen=True)
class Lent:
    """What other regions lend.

    Parameters
    ----------
    members : dict of str to list of forecasters
        By the name of the member.
    names : tuple of str
        Registered names and versions of the models they are from, ``<name>/<version>``.
    """

    members: dict[str, list[Any]]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Lenders:
    """Finds what other regions can lend to one.

    Parameters
    ----------
    region : str
        The one that borrows.
    tables : Snapshot
    registry : Registry
    """

    region: str
    tables: Snapshot
    registry: Registry

    def at(self, week: pd.Timestamp) -> Lent:
        """Load the members of the newest champions of earlier weeks, one model a region.

        Members are common to a region's segments, so one of its models has them all. Only weeks
        before count, so that it does not matter which region is trained first in a week. A model
        that cannot be loaded lends nothing.
        """
        members: dict[str, list[Any]] = {}
        names: list[str] = []
        for row in self._champions(week):
            if len(names) == MAX_REGIONS:
                break
            try:
                model, _ = load_or_copy(self.registry, str(row["model_name"]), row)
            except RegistryError:
                continue
            names.append(f"{row['model_name']}/{int(row['champion_version'])}")
            for name, member in model.members.items():
                members.setdefault(name, []).append(member)
        return Lent(members, tuple(names))

    def _champions(self, week: pd.Timestamp) -> Sequence[dict[str, Any]]:
        """Name the newest champion of each other region, the newest cutoffs first."""
        if not self.tables.exists(PROMOTION):
            return []
        since, until = week - STALE_AFTER, week - pd.Timedelta(weeks=1)
        since -= pd.Timedelta(days=since.weekday())
        rows = self.tables.read(PROMOTION, since=since, until=until)
        own = (rows[REGION] != self.region) & (rows["kind"] == ENSEMBLE)
        rows = rows[own & rows["champion_version"].notna()]
        newest = rows.sort_values([CUTOFF, WEEK, REGION, "model_name"]).drop_duplicates(
            REGION, keep="last"
        )
        return records(newest.sort_values([CUTOFF, REGION], ascending=[False, True]))
