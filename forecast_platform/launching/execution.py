"""Execute runs in this process and say how they ended. What to run is decided in ``boxes.py``."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from forecast_platform.automation.jobs import (
    DATA_GROUPS,
    DEEP_GROUP,
    condition_data,
    deep_forecast,
    weekly_forecast,
)
from forecast_platform.launching.boxes import Box
from forecast_platform.launching.event_log import open_busy_instance
from forecast_platform.launching.instance import PROCESS_TAG, this_process
from forecast_platform.resources.reporting import is_part

if TYPE_CHECKING:
    from dagster._core.execution.execute_in_process_result import ExecuteInProcessResult


@dataclass(frozen=True)
class Problem:
    """An asset that failed, or a check that did not pass."""

    where: str
    message: str
    is_check: bool = False
    partition: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    box: Box
    succeeded: bool
    seconds: float
    problems: tuple[Problem, ...] = ()

    @property
    def failures(self) -> list[Problem]:
        """Problems that stopped the run."""
        return [] if self.succeeded else [p for p in self.problems if not p.is_check]

    @property
    def warnings(self) -> list[Problem]:
        """Checks that did not pass."""
        return [p for p in self.problems if p.is_check]


_OWN_WORDS: Final = ("forecast_platform.errors.", "dagster._core.definitions.events.Failure: ")
"""What Dagster puts before a message that was written for a person."""


def broken_off(box: Box, reason: str) -> Outcome:
    """Say that a run did not end by itself, or never began."""
    return Outcome(box, succeeded=False, seconds=0.0, problems=(Problem("run", reason),))


def execute_chain(chain: Sequence[Box], home: str) -> list[Outcome]:
    """Execute runs one after the other in this process, on the instance at ``home``.

    When a run of several regions fails, each of its regions is run alone, so that the others
    get through; a region whose data failed is not trained.
    """
    outcomes: list[Outcome] = []
    lost: set[str] = set()
    with open_busy_instance(Path(home)) as instance:
        queue = list(chain)
        while queue:
            box = queue.pop(0)
            if lost.intersection(box.regions) and len(box.regions) == 1:
                outcomes.append(broken_off(box, "not run: the data of this region failed"))
                continue
            outcome = execute(box, instance)
            if not outcome.succeeded and len(box.regions) > 1:
                queue[:0] = box.by_region()
                continue
            if not outcome.succeeded and set(box.groups) & set(DATA_GROUPS):
                lost.update(box.regions)
            outcomes.append(outcome)
    return outcomes


def execute(box: Box, instance: dg.DagsterInstance) -> Outcome:
    """Execute one run in this process and say how it ended."""
    from forecast_platform.definitions import defs

    started = time.monotonic()
    job = defs.resolve_job_def(_job_of(box.groups))
    result = job.execute_in_process(
        instance=instance,
        run_id=box.run_id,
        tags={**box.tags, PROCESS_TAG: this_process()},
        asset_selection=_assets_of(defs, box.groups),
        raise_on_error=False,
    )
    return Outcome(box, result.success, time.monotonic() - started, tuple(_problems(result)))


def _job_of(groups: Collection[str]) -> str:
    if set(groups) == {DEEP_GROUP}:
        return deep_forecast.name
    only_data = set(groups) <= set(DATA_GROUPS)
    return (condition_data if only_data else weekly_forecast).name


def _assets_of(defs: dg.Definitions, groups: Collection[str]) -> list[dg.AssetKey]:
    return [
        spec.key
        for spec in defs.resolve_all_asset_specs()
        if spec.group_name in groups and spec.partitions_def is not None
    ]


def _problems(result: "ExecuteInProcessResult") -> Iterator[Problem]:
    for event in result.all_events:
        if event.is_step_failure:
            yield Problem(event.step_key or "", _innermost(event.step_failure_data.error))
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and not is_part(check):
                yield Problem(
                    f"{check.asset_key.to_user_string()}: {check.check_name}",
                    check.description or "did not pass",
                    is_check=True,
                    partition=check.partition,
                )
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE and not any(
            other.is_step_failure for other in result.all_events
        ):
            yield Problem("run", event.message or "failed")


def _innermost(error: object) -> str:
    """Return the message of the exception that started it."""
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    message = str(getattr(error, "message", error)).strip()
    for prefix in _OWN_WORDS:
        message = message.removeprefix(prefix)
    return message
