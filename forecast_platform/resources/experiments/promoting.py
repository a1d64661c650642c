"""Ending an experiment by letting one of its arms serve: a person's word, kept as such.

Goes the way of every approval, `forecast_platform.resources.approvals`: manifest, `promotion_log`
and registry.
"""

from typing import Final

from forecast_platform.errors import CorruptModel, ExperimentRefused
from forecast_platform.forecasting.experiments.assignment import ARMS, A
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.approvals import Order, decide
from forecast_platform.resources.experiments.analysis import judge
from forecast_platform.resources.experiments.arms import arm_version
from forecast_platform.resources.experiments.book import Experiment
from forecast_platform.resources.experiments.control import find_running, newest_week, stop
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import manifest_at
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import APPROVED

WINNER: Final = "winner"
CHOICES: Final = (WINNER, *ARMS)


def stop_and_promote(
    region: str,
    name: str,
    lake: Lake,
    registry: Registry,
    *,
    promote: str,
    who: str,
    why: str,
    decided_at: str,
    run_id: str,
) -> tuple[Experiment, dict[str, int]]:
    """Let an arm serve from the next week on, then stop the experiment.

    Promoted first: if that fails the experiment goes on, and doing it again does no harm.

    Parameters
    ----------
    promote : {"winner", "A", "B"}
        The arm that the test names, or one in spite of it.

    Returns
    -------
    tuple
        The stopped experiment, and the versions that serve now instead of others, by segment.

    Raises
    ------
    ExperimentRefused
        If there is no winner yet, no such experiment runs, or a model of the arm is gone.
    """
    if promote not in CHOICES:
        raise ExperimentRefused(f"{promote!r} is no arm: promote {', '.join(CHOICES)}")
    tables = Snapshot(lake)
    running = find_running(region, name, tables)
    key = RegionWeek(region, newest_week(lake, region))
    chosen = promote if promote != WINNER else _winner(running, key, tables)
    changed = _versions(running, chosen, key, tables)
    for segment, version in changed.items():
        order = Order(
            verdict=APPROVED,
            region=region,
            segments=[segment],
            version=version,
            who=who,
            why=f"arm {chosen} of experiment {name}: {why}",
            decided_at=decided_at,
            run_id=run_id,
        )
        decide(order, lake, registry)
    stopped = stop(
        region,
        name,
        lake,
        who=who,
        why=why,
        decided_at=decided_at,
        run_id=run_id,
        promoted=chosen,
    )
    return stopped, changed


def _winner(experiment: Experiment, key: RegionWeek, tables: Snapshot) -> str:
    decision, _, _ = judge(key, experiment, tables)
    if decision.winner.value not in ARMS:
        raise ExperimentRefused(
            f"{experiment.name!r} is not yet decided after {decision.n_weeks} weeks: wait, or name "
            "the arm, A or B, that is to serve all the same"
        )
    return decision.winner.value


def _versions(
    experiment: Experiment, chosen: str, key: RegionWeek, tables: Snapshot
) -> dict[str, int]:
    """Find the versions of an arm that do not serve already, by segment."""
    arm = experiment.a if chosen == A else experiment.b
    manifest, found = manifest_at(key, tables), {}
    for segment in experiment.segments:
        try:
            version = arm_version(arm, key, segment, tables)
        except CorruptModel as error:
            raise ExperimentRefused(f"{segment}: {error}") from error
        if version is None:
            continue
        serving = manifest.champion(version.model_name)
        if serving is None or serving["champion_version"] != version.version:
            found[segment] = version.version
    return found
