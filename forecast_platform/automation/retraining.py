"""What trains models again: one sensor looks for reasons and asks for one run for all of them.

A region is left alone while a run of it is queued or running, so that what changes together is
answered together. Weeks whose features another code made are made again before models learn from
them. What counts as a reason is in `retraining_reasons.py`. See
https://docs.dagster.io/guides/automate/sensors.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import dagster as dg

from forecast_platform.automation.deliveries import fingerprint
from forecast_platform.automation.jobs import remake_features, retrain_ensemble
from forecast_platform.automation.retraining_reasons import TABLES, TRAINED, Case, Cases, Reason
from forecast_platform.errors import LakeError
from forecast_platform.partitions import RegionWeek, ends_of, range_tags, regions
from forecast_platform.resources.code_version import feature_code_digest, training_code_digest
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_keys import span_ends, spans_of
from forecast_platform.resources.members import member_paths
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.triggers import trigger_tag
from forecast_platform.schemas.models import Trigger

MAX_REQUESTS: Final = 20
"""Runs asked for in one tick; the next tick goes on."""

MAX_TOLD: Final = 500
"""Characters of the reasons in a run's tag."""

REASON_TAG: Final = "forecast_platform/reason"
UNFINISHED: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(slots=True)
class Asked:
    """What was asked for of a region's newest week.

    Attributes
    ----------
    week : str
        The week; a newer one begins anew.
    n : int
        Retrainings asked for.
    n_remade : int
        Times that its features were asked for again.
    evidence : list of str
        What they answered.
    """

    week: str
    n: int = 0
    n_remade: int = 0
    evidence: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Cursor:
    """The sensor's memory.

    Attributes
    ----------
    seen : str
        Fingerprint of all that reasons are read from, when nothing was left to do.
    asked : dict of str to Asked
        By region.
    """

    seen: str = ""
    asked: dict[str, Asked] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what ``to_text`` wrote; nothing is an empty memory."""
        stored = json.loads(text) if text else {}
        asked = {region: Asked(**one) for region, one in stored.get("asked", {}).items()}
        return cls(stored.get("seen", ""), asked)

    def to_text(self) -> str:
        """Write the memory as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def of(self, case: Case) -> Asked:
        """Look up what was asked for of a region's newest week."""
        week = f"{case.key.week:%Y-%m-%d}"
        known = self.asked.get(case.key.region)
        if known is None or known.week != week:
            known = self.asked[case.key.region] = Asked(week)
        return known


@dataclass
class Look:
    """What one tick found.

    Attributes
    ----------
    is_over : bool
        Whether nothing is left that the next tick must look at.
    notes : list of str
        What was seen and left alone, in words.
    """

    requests: list[dg.RunRequest] = field(default_factory=list)
    is_over: bool = True
    notes: list[str] = field(default_factory=list)

    def wait(self, why: str) -> None:
        """Leave something to the next tick."""
        self.is_over = False
        self.notes.append(why)


def look_for_reasons(
    cases: Cases,
    registered: Iterable[str],
    busy: Mapping[str, str],
    cursor: Cursor,
    *,
    max_per_week: int,
) -> Look:
    """Ask for one retraining of each region that has new reasons for it.

    Parameters
    ----------
    cases : Cases
    registered : iterable of str
        Regions to look at.
    busy : mapping of str to str
        Run that is not over, by region.
    cursor : Cursor
        Takes up what is asked for.
    max_per_week : int
        Retrainings of a region's week.
    """
    look = Look()
    for region in sorted(registered):
        if region in busy:
            look.wait(f"{region}: waits for run {busy[region]}")
            continue
        try:
            case = cases.of(region)
        except LakeError as error:
            look.notes.append(f"{region}: cannot be judged: {error}")
            continue
        if case is None:
            continue
        look.notes += case.notes
        asked = cursor.of(case)
        if case.outdated:
            _ask_for_features(look, case, asked, cases.feature_digest, max_per_week)
        else:
            _ask_for_models(look, case, asked, max_per_week)
    return look


def _ask_for_models(look: Look, case: Case, asked: Asked, max_per_week: int) -> None:
    new = [one for one in case.reasons if one.evidence not in asked.evidence]
    if not new:
        return
    if asked.n >= max_per_week:
        look.notes.append(
            f"{case.key.key}: held back, it was trained again {asked.n} times: {_told(new)}"
        )
    elif len(look.requests) >= MAX_REQUESTS:
        look.wait(f"{case.key.key}: asked for in the next look")
    else:
        look.requests.append(_request(case, new))
        asked.n += 1
        asked.evidence += [one.evidence for one in new]


def _ask_for_features(look: Look, case: Case, asked: Asked, digest: str, max_per_week: int) -> None:
    """Ask for the weeks that another code made; models wait for them.

    Once for each code: what fails is told as a failed run, and not tried again before next week.
    """
    evidence = f"outdated:{digest[:12]}"
    what = f"{case.key.key}: features of {len(case.outdated)} weeks were made by other code"
    if evidence in asked.evidence:
        look.notes.append(f"{what} still, though they were asked for: look at that run")
    elif asked.n_remade >= max_per_week:
        look.notes.append(f"{what}; held back, they were made again {asked.n_remade} times")
    elif len(look.requests) >= MAX_REQUESTS:
        look.wait(f"{what}; asked for in the next look")
    else:
        look.requests += _requests_of_features(case, digest)
        look.is_over = False
        asked.n_remade += 1
        asked.evidence.append(evidence)


def _requests_of_features(case: Case, digest: str) -> list[dg.RunRequest]:
    """Ask for ranges of weeks that follow one another: a run's range may have no gap."""
    region = case.key.region
    spans = spans_of(RegionWeek(region, week) for week in case.outdated)[region]
    told = f"features were made by other code than {digest[:12]}"
    return [
        dg.RunRequest(
            run_key=f"{case.key.key}|features|{span}|{digest[:12]}",
            job_name=remake_features.name,
            tags={
                **range_tags(*(RegionWeek.of(region, week) for week in span_ends(span))),
                **trigger_tag([Trigger.CODE]),
                REASON_TAG: told,
            },
        )
        for span in spans
    ]


def _request(case: Case, reasons: Sequence[Reason]) -> dg.RunRequest:
    """Ask once for all reasons; Dagster never repeats a run key."""
    told = _told(reasons)
    return dg.RunRequest(
        run_key=f"{case.key.key}|{fingerprint(one.evidence for one in reasons)}",
        job_name=retrain_ensemble.name,
        partition_key=case.key.key,
        tags={
            **trigger_tag(one.trigger for one in reasons),
            REASON_TAG: told if len(told) <= MAX_TOLD else f"{told[: MAX_TOLD - 1]}…",
        },
    )


def _told(reasons: Iterable[Reason]) -> str:
    return "; ".join(one.told for one in reasons)


def busy_regions(instance: dg.DagsterInstance, registered: Iterable[str]) -> dict[str, str]:
    """Name a run that is queued or running of each region that has one."""
    busy: dict[str, str] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
        ends = ends_of(run.tags)
        if ends is None:
            continue
        first, last = ends
        for region in registered:
            if first.region <= region <= last.region:
                busy.setdefault(region, run.run_id)
    return busy


def _state(lake: Lake, code: str, registered: Iterable[str], *more: Any) -> str:
    versions = [f"{table}={lake.version(table)}" for table in TABLES]
    return fingerprint([*versions, f"code={code}", *(f"region={one}" for one in registered), *more])


def build_retraining_sensor(
    *, running: bool, every_seconds: int, max_per_week: int
) -> dg.SensorDefinition:
    """Build the sensor that trains models again when there is a reason.

    Parameters
    ----------
    running : bool
        Whether a fresh installation starts with the sensor switched on.
    every_seconds : int
        Time between two looks [s].
    max_per_week : int
        Bounds a storm: retrainings of a region's week that are asked for.
    """

    @dg.sensor(
        name="retraining_sensor",
        jobs=[retrain_ensemble, remake_features],
        minimum_interval_seconds=every_seconds,
        description=(
            "Train the newest week of a region again when its data was corrected, the code of "
            "features or models has changed, or its models are stale, degraded or drifted."
        ),
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def retraining_sensor(
        context: dg.SensorEvaluationContext, lake: Lake, model_settings: ModelSettings
    ) -> dg.SensorResult:
        registered = sorted(context.instance.get_dynamic_partitions(str(regions.name)))
        cursor = Cursor.from_text(context.cursor)
        if not lake.exists(TRAINED):
            return dg.SensorResult(skip_reason="Nothing was trained yet.", cursor=cursor.to_text())
        code, of_features = (
            training_code_digest(member_paths(model_settings.members)),
            feature_code_digest(),
        )
        weeks = model_settings.training_weeks
        state = _state(lake, code, registered, f"weeks={weeks}", f"max={max_per_week}")
        if state == cursor.seen:
            return dg.SensorResult(
                skip_reason="Nothing has changed since the last look.", cursor=cursor.to_text()
            )
        look = look_for_reasons(
            Cases(lake, code_digest=code, feature_digest=of_features, training_weeks=weeks),
            registered,
            busy_regions(context.instance, registered),
            cursor,
            max_per_week=max_per_week,
        )
        cursor.seen = state if look.is_over else ""
        for note in look.notes:
            context.log.info(note)
        return dg.SensorResult(
            run_requests=look.requests,
            skip_reason=None if look.requests else "\n".join(look.notes) or "No reason.",
            cursor=cursor.to_text(),
        )

    return retraining_sensor
