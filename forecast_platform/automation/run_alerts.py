"""Troubles that Dagster records: runs that failed, checks that did not pass.

A run is looked at once it has ended. What is wrong in tables is found in
`forecast_platform.resources.alerts.conditions`; who is told, and when, is for the notifier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg
import pandas as pd

from forecast_platform.partitions import RANGE_END_TAG, RANGE_START_TAG, RegionWeek, ends_of
from forecast_platform.resources.alerts.history import Trouble
from forecast_platform.resources.alerts.kinds import ADVICE, TOLD_BY_CONDITION, kind_of_check
from forecast_platform.resources.alerts.messages import Alert, Over, asset_link, run_link, shorten
from forecast_platform.resources.reporting import failed_keys, is_part
from forecast_platform.schemas.alerts import EVERYWHERE, Kind, Severity

MAX_RUNS: Final = 50
"""Ended runs that one tick looks at; the next tick goes on."""

OF_DAGSTER: Final = "__"
"""How the names of jobs begin that Dagster makes for a few assets."""

SEVERITIES: Final = {
    dg.AssetCheckSeverity.WARN: Severity.WARNING,
    dg.AssetCheckSeverity.ERROR: Severity.ERROR,
}


@dataclass(frozen=True, slots=True)
class Span:
    """Region-weeks of a run, from the first to the last; of no region if it has none."""

    first: RegionWeek | None
    last: RegionWeek | None

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Span":
        """Read it from the tags of a run."""
        return cls(*(ends_of(tags) or (None, None)))

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Read what `text` wrote."""
        first, _, last = text.partition("..")
        return cls.of({RANGE_START_TAG: first, RANGE_END_TAG: last or first})

    @property
    def text(self) -> str:
        """Write ``north|2024-03-04``, or ``north|2024-01-01..north|2024-03-04``."""
        if self.first is None or self.last is None:
            return ""
        return self.first.key if self.first == self.last else f"{self.first.key}..{self.last.key}"

    @property
    def region(self) -> str:
        """Region, or ``all`` if it is not exactly one."""
        if self.first is None or self.last is None or self.first.region != self.last.region:
            return EVERYWHERE
        return self.first.region

    def regions(self, registered: Sequence[str]) -> list[str]:
        """Regions from the first to the last, in the order of registration."""
        if self.first is None or self.last is None:
            return []
        ends = self.first.region, self.last.region
        if ends[0] == ends[1] or any(one not in registered for one in ends):
            return list(dict.fromkeys(ends))
        return list(registered[registered.index(ends[0]) : registered.index(ends[1]) + 1])

    def covers(self, other: "Span", registered: Sequence[str]) -> bool:
        """Whether all region-weeks of another are among its own."""
        if self.first is None or self.last is None:
            return other.first is None
        if other.first is None or other.last is None:
            return False
        is_inside = self.first.week <= other.first.week and other.last.week <= self.last.week
        return is_inside and set(other.regions(registered)) <= set(self.regions(registered))


@dataclass
class RunCursor:
    """Up to where runs were looked at.

    Attributes
    ----------
    ended : dict of str to str
        Dagster's cursor for failed and for succeeded runs.
    """

    ended: dict[str, str]

    def ended_runs(self, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
        """Return runs that ended since the last time, in order; none the first time."""
        found: list[tuple[float, str]] = []
        for kind in (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS):
            if kind.value not in self.ended:
                newest = instance.fetch_run_status_changes(kind, limit=1)
                self.ended[kind.value] = newest.cursor if newest.records else ""
                continue
            after = self.ended[kind.value] or None
            changes = instance.fetch_run_status_changes(
                kind, limit=MAX_RUNS, cursor=after, ascending=True
            )
            found += [(one.timestamp, one.event_log_entry.run_id) for one in changes.records]
            if changes.records:
                self.ended[kind.value] = changes.cursor
        runs = [instance.get_run_by_id(run_id) for _, run_id in sorted(found)]
        return [run for run in runs if run is not None]


@dataclass(frozen=True)
class RunReader:
    """Reads what ended runs tell.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    dagster_url : str
    registered : sequence of str
        Regions, in order.
    """

    instance: dg.DagsterInstance
    dagster_url: str
    registered: Sequence[str]

    def read(self, run: dg.DagsterRun, open_: Mapping[str, Trouble]) -> Iterator[Alert | Over]:
        """Tell what one run says: that it failed, which checks passed and which did not.

        Parameters
        ----------
        run : dagster.DagsterRun
        open_ : mapping of str to Trouble
            Troubles that are not over: a run that succeeds ends those that it mends.
        """
        yield from self._checks(run)
        if run.status is dg.DagsterRunStatus.FAILURE:
            yield self._failure(run)
        else:
            yield from self._mended(run, open_)

    def _failure(self, run: dg.DagsterRun) -> Alert:
        span, steps = Span.of(run.tags), self._failed_steps(run)
        step = min(steps, default="")
        where = f" in {', '.join(sorted(steps))}" if steps else ""
        about = f" of {span.text}" if span.text else ""
        told = "; ".join(steps.values()) or run.tags.get("dagster/failure_reason", "no step failed")
        return Alert(
            kind=Kind.RUN_FAILED,
            severity=Severity.ERROR,
            fingerprint=f"run_failed|{run.job_name}|{step}|{span.text}",
            occurrence=run.run_id,
            title=f"{_job(run)}{about} failed{where}",
            happened=f"Run {run.run_id[:8]}{about} failed{where}: {told}",
            done=ADVICE[Kind.RUN_FAILED].done,
            todo=ADVICE[Kind.RUN_FAILED].todo,
            link=run_link(self.dagster_url, run.run_id),
            region=span.region,
            partition=span.text or None,
        )

    def _failed_steps(self, run: dg.DagsterRun) -> dict[str, str]:
        kind = dg.DagsterEventType.STEP_FAILURE
        found: dict[str, str] = {}
        for entry in self.instance.all_logs(run.run_id, of_type=kind):
            event = entry.dagster_event
            if event is not None and event.step_key:
                found[event.step_key] = shorten(_innermost(event.step_failure_data.error), 300)
        return found

    def _mended(self, run: dg.DagsterRun, open_: Mapping[str, Trouble]) -> Iterator[Over]:
        span = Span.of(run.tags)
        for name, trouble in open_.items():
            if trouble.latest.kind is not Kind.RUN_FAILED:
                continue
            _, _, step, text = name.split("|", 3)
            failed = self.instance.get_run_by_id(trouble.latest.occurrence)
            is_repeated = failed is not None and _repeats(run, failed, step)
            if is_repeated and span.covers(Span.parse(text), self.registered):
                yield Over(name)

    def _checks(self, run: dg.DagsterRun) -> Iterator[Alert | Over]:
        span = Span.of(run.tags)
        regions = span.regions(self.registered) or [EVERYWHERE]
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        for entry in self.instance.all_logs(run.run_id, of_type=kind):
            event = entry.dagster_event
            check = event.asset_check_evaluation_data if event else None
            if check is None or is_part(check) or check.check_name in TOLD_BY_CONDITION:
                continue
            keys = failed_keys(check) or []
            for region in regions:
                failed = [one for one in keys if one.partition("|")[0] == region]
                if check.passed or (keys and not failed):
                    yield Over(_fingerprint(check, region))
                else:
                    yield self._check_failure(run, check, region, failed or [span.text])

    def _check_failure(
        self,
        run: dg.DagsterRun,
        check: dg.AssetCheckEvaluation,
        region: str,
        failed: Sequence[str],
    ) -> Alert:
        asset, kind = check.asset_key.to_user_string(), kind_of_check(check.check_name)
        where = "" if region == EVERYWHERE else f"{region}: "
        about = f" for {', '.join(failed[-3:])}" if any(failed) else ""
        return Alert(
            kind=kind,
            severity=SEVERITIES[check.severity],
            fingerprint=_fingerprint(check, region),
            occurrence=f"{run.run_id}|{region}",
            title=f"{where}{asset} does not pass {check.check_name}",
            happened=f"{check.check_name} of {asset} did not pass{about}: "
            f"{check.description or 'see its metadata'}",
            done=ADVICE[kind].done,
            todo=ADVICE[kind].todo,
            link=asset_link(self.dagster_url, asset, view="checks"),
            region=region,
            partition=failed[-1] or None,
        )


def _repeats(run: dg.DagsterRun, failed: dg.DagsterRun, step: str) -> bool:
    """Whether a run does what failed before: the same step, or all of the same job."""
    chosen, wanted = (
        {key.to_user_string() for key in one.asset_selection or ()} for one in (run, failed)
    )
    if step in chosen:
        return True
    is_all = not chosen or (bool(wanted) and chosen >= wanted)
    return run.job_name == failed.job_name and is_all


def _fingerprint(check: dg.AssetCheckEvaluation, region: str) -> str:
    return f"check|{check.asset_key.to_user_string()}|{check.check_name}|{region}"


def _job(run: dg.DagsterRun) -> str:
    if not run.job_name.startswith(OF_DAGSTER):
        return run.job_name
    names = sorted(key.to_user_string() for key in run.asset_selection or ())
    return f"materialization of {', '.join(names[:5])}" if names else "materialization"


def _innermost(error: object) -> str:
    """Return the message of the exception that began it."""
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    message = str(getattr(error, "message", error)).strip()
    return message.removeprefix("forecast_platform.errors.")


def closed_at(week: pd.Timestamp) -> pd.Timestamp:
    """Return the moment at which a week closed, the first one of the next Monday [UTC].

    >>> str(closed_at(pd.Timestamp("2024-03-04")))
    '2024-03-11 00:00:00+00:00'
    """
    return (week + pd.Timedelta(weeks=1)).tz_localize("UTC")
