"""Delivery of the retailer's files, region by region and week by week.

Only the loop, the paths and the report. One region is in memory at a time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.files import write_csv
from forecast_platform.simulation.retailer import SOURCES, RegionWorld
from forecast_platform.simulation.streams import monday_of, week_number
from forecast_platform.simulation.truth import write_truth
from forecast_platform.simulation.warts import WartRecord, apply_warts, check_warts

Progress = Callable[[int, int, str], None]
"""Called with region-weeks done, region-weeks in all, and what was just delivered."""


@dataclass
class SimulationReport:
    """What was delivered."""

    regions: tuple[str, ...]
    first_week: date
    last_week: date
    files: int = 0
    size_bytes: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    warts: list[WartRecord] = field(default_factory=list)


def simulate(
    config: RetailerConfig,
    landing: Path,
    *,
    truth: Path | None = None,
    warts: Collection[str] = (),
    progress: Progress | None = None,
) -> SimulationReport:
    """Deliver all weeks of a retailer.

    Parameters
    ----------
    config
        The retailer; ``config.n_weeks`` weeks are delivered.
    landing
        Folder to write ``<source>/<region>/<week>/<source>.csv`` to; files that are there are
        replaced.
    truth
        Folder for the true expected demand, outside of ``landing``; not written when None.
    warts
        Names of `WARTS` to spoil the delivery with.
    progress
        Called after every region-week.

    Raises
    ------
    ValueError
        If a wart does not exist or ``truth`` lies inside ``landing``.
    """
    return simulate_weeks(
        config,
        landing,
        first=config.first_week,
        last=config.last_week,
        truth=truth,
        warts=warts,
        progress=progress,
    )


def simulate_weeks(
    config: RetailerConfig,
    landing: Path,
    *,
    first: date,
    last: date,
    truth: Path | None = None,
    warts: Collection[str] = (),
    progress: Progress | None = None,
) -> SimulationReport:
    """Deliver the weeks ``first`` to ``last``, the same files as in one go.

    See `simulate`. The weeks may lie beyond ``config.n_weeks``, not before its first week.
    """
    _check(config, landing, first, last, truth)
    check_warts(warts)
    report = SimulationReport(config.regions, first, last)
    weeks = range(week_number(first), week_number(last) + 1)
    for index, region in enumerate(config.regions):
        world = RegionWorld(config, region, weeks[-1])
        for done, week in enumerate(weeks, start=index * len(weeks) + 1):
            _deliver(world, week, landing, truth, report)
            if progress is not None:
                progress(done, len(config.regions) * len(weeks), f"{region} {monday_of(week)}")
    report.warts += apply_warts(config, landing, warts, first=weeks[0], last=weeks[-1])
    return report


def _check(
    config: RetailerConfig, landing: Path, first: date, last: date, truth: Path | None
) -> None:
    if first.weekday() != 0 or last.weekday() != 0:
        raise ValueError(f"weeks are named by their Monday, got {first} and {last}")
    if not config.first_week <= first <= last:
        raise ValueError(
            f"weeks {first} to {last} must be in order, not before {config.first_week}"
        )
    if truth is not None and truth.resolve().is_relative_to(landing.resolve()):
        raise ValueError(f"the truth ({truth}) must not lie in the landing folder ({landing})")


def _deliver(
    world: RegionWorld, week: int, landing: Path, truth: Path | None, report: SimulationReport
) -> None:
    tables, told = world.deliver(week)
    for source, table in tables.items():
        folder = landing / source / world.region / f"{monday_of(week)}"
        report.size_bytes += write_csv(folder / f"{source}.csv", table)
        report.files += 1
        report.rows[source] += table.num_rows
    if truth is not None:
        write_truth(truth, world.region, week, told)
