"""Which runs cover the region-weeks that were asked for.

A *box* is a range of regions (in the order in which they were registered) times a range of
weeks: one run covers all of it. Stages that only move data run as large boxes, since each
Dagster run and each recorded partition has its price; models run one region-week at a time, so
that one failure costs one region-week. Nothing here starts a run.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pandas as pd

from forecast_platform.automation.jobs import DATA_GROUPS, FORECAST_GROUPS
from forecast_platform.partitions import RegionWeek, range_tags, region_weeks

MODEL_GROUPS: Final = tuple(group for group in FORECAST_GROUPS if group not in DATA_GROUPS)

MAX_BOX: Final = 400
"""Region-weeks of one data run: some 7 regions for a year. It bounds memory and lost work."""


@dataclass(frozen=True)
class Box:
    """One run: some stages of a range of regions and a range of weeks."""

    regions: tuple[str, ...]
    """Neighbours in the order of registration."""

    first_week: pd.Timestamp
    last_week: pd.Timestamp
    groups: tuple[str, ...]
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def n_weeks(self) -> int:
        """Weeks from the first to the last, both included."""
        return (self.last_week - self.first_week).days // 7 + 1

    @property
    def label(self) -> str:
        """What the box holds, for a person."""
        who = self.regions[0] if len(self.regions) == 1 else f"{len(self.regions)} regions"
        when = f"{self.first_week:%Y-%m-%d}"
        if self.n_weeks > 1:
            when += f"..{self.last_week:%Y-%m-%d}"
        return f"{who} {when}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags that give the run its partition, or the ends of its range of them."""
        first = RegionWeek(self.regions[0], self.first_week)
        last = RegionWeek(self.regions[-1], self.last_week)
        if first == last:
            return dict(region_weeks.get_tags_for_partition_key(first.key))
        return range_tags(first, last)

    def by_region(self) -> list["Box"]:
        """Split into one box a region, so that one bad region does not stop the others."""
        return [
            replace(self, regions=(region,), run_id=str(uuid.uuid4())) for region in self.regions
        ]


def plan(
    order: Sequence[str],
    wanted: Collection[str],
    weeks: Sequence[pd.Timestamp],
    groups: Sequence[str],
    *,
    chains: int = 1,
    max_box: int = MAX_BOX,
) -> list[list[Box]]:
    """Lay out the runs that cover exactly the wanted region-weeks.

    Parameters
    ----------
    order : sequence of str
        All registered regions, in the order of registration.
    wanted : collection of str
        The regions to run, each one of ``order``.
    weeks : sequence of Timestamp
        Consecutive Mondays.
    groups : sequence of str
        Stages, as asset groups.
    chains : int
        How many chains to make; chains may run at the same time.
    max_box : int
        Most region-weeks of one data run.

    Returns
    -------
    list of list of Box
        Chains; the runs of one chain follow one another.
    """
    chosen = [region for region in order if region in set(wanted)]
    per_chain = -(-len(chosen) // max(1, chains)) or 1
    parts = [chosen[start : start + per_chain] for start in range(0, len(chosen), per_chain)]
    return [_plan_chain(order, part, weeks, tuple(groups), max_box) for part in parts]


def _plan_chain(
    order: Sequence[str],
    chosen: Sequence[str],
    weeks: Sequence[pd.Timestamp],
    groups: tuple[str, ...],
    max_box: int,
) -> list[Box]:
    data = tuple(group for group in groups if group in DATA_GROUPS)
    models = tuple(group for group in groups if group not in DATA_GROUPS)
    if len(chosen) == 1 and len(weeks) == 1:
        return [Box(tuple(chosen), weeks[0], weeks[0], groups)]
    boxes = [
        Box(stretch, part[0], part[-1], data)
        for stretch in _stretches(order, chosen)
        for part in _slices(weeks, max(1, max_box // len(stretch)))
        if data
    ]
    boxes += [Box((region,), week, week, models) for week in weeks for region in chosen if models]
    return boxes


def _slices(weeks: Sequence[pd.Timestamp], size: int) -> Iterator[Sequence[pd.Timestamp]]:
    for start in range(0, len(weeks), size):
        yield weeks[start : start + size]


def _stretches(order: Sequence[str], chosen: Sequence[str]) -> list[tuple[str, ...]]:
    """Group regions that are neighbours in ``order``: a run's range may have no gap."""
    place = {region: position for position, region in enumerate(order)}
    stretches: list[list[str]] = []
    for region in chosen:
        if stretches and place[region] == place[stretches[-1][-1]] + 1:
            stretches[-1].append(region)
        else:
            stretches.append([region])
    return [tuple(stretch) for stretch in stretches]
