"""Why the models of a region should be trained again, read from the lake.

Each reason has a trigger and evidence; what is asked for is decided in `retraining.py`. Data and
code are compared by content: rows or code that were written anew and are the same are no reason.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import pandas as pd

from forecast_platform.errors import LakeError
from forecast_platform.lineage.commits import Commit, Commits
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import DEMAND, read_demand
from forecast_platform.resources.feature_codes import FEATURES, FeatureCodes
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.models import NOT_REGISTERED, STALE_AFTER, Trigger
from forecast_platform.schemas.monitoring import Health
from forecast_platform.vocabulary import DS, ENSEMBLE, UNIQUE_ID, WEEK, H, Y

TRAINED: Final = "trained_ensembles"
HEALTH: Final = "model_health"
PROMOTION: Final = "promotion"
TABLES: Final = (TRAINED, DEMAND, FEATURES, HEALTH, PROMOTION)
"""Everything that a reason is read from."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason to train again.

    Attributes
    ----------
    evidence : str
        What it rests on: the same evidence is answered once.
    told : str
        The reason in words.
    """

    trigger: Trigger
    evidence: str
    told: str


@dataclass(frozen=True)
class Training:
    """The newest training of a region."""

    key: RegionWeek
    commit: Commit
    code_digests: Collection[str]
    has_lost_models: bool


@dataclass
class Case:
    """What speaks for training a region's newest week again.

    Attributes
    ----------
    key : RegionWeek
        The week to train: the newest one with features.
    outdated : list of pandas.Timestamp
        Weeks of the window whose features another code made: they come first, since models must
        learn from what they will be fed.
    notes : list of str
        What was seen and is no reason.
    """

    key: RegionWeek
    reasons: list[Reason] = field(default_factory=list)
    outdated: list[pd.Timestamp] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Cases:
    """Looks regions up; logs of tables are read once.

    Parameters
    ----------
    lake : Lake
    code_digest : str
        Version of the code that a training would run now.
    feature_digest : str
        Version of the code that would make features now.
    training_weeks : int
        History that a model is trained on [weeks].
    """

    def __init__(
        self, lake: Lake, *, code_digest: str, feature_digest: str, training_weeks: int
    ) -> None:
        self.lake = lake
        self.code_digest = code_digest
        self.feature_digest = feature_digest
        self.window = pd.Timedelta(weeks=training_weeks)
        self.commits = Commits(lake)
        self.feature_codes = FeatureCodes(lake)

    def of(self, region: str) -> Case | None:
        """Collect the reasons to train a region again; None if it never was trained.

        Raises
        ------
        LakeError
            If what a model was trained on can no longer be read.
        """
        trained = self._newest(TRAINED, region)
        featured = self._newest(FEATURES, region)
        if trained is None or featured is None:
            return None
        training = self._training(RegionWeek(region, trained))
        case = Case(RegionWeek(region, max(trained, featured)))
        case.outdated += self._outdated(training, case.key)
        case.reasons += self._changed_code(training)
        try:
            case.reasons += self._changed_data(training, case.key.week)
        except LakeError as error:
            case.notes.append(f"{region}: data cannot be compared: {error}")
        self._add_worn_models(case, training)
        return case

    def _newest(self, table: str, region: str) -> pd.Timestamp | None:
        known = self.lake.weeks_of(table, region) if self.lake.exists(table) else []
        return known[-1] if known else None

    def _training(self, key: RegionWeek) -> Training:
        rows = self.lake.read(TRAINED, region=key.region, weeks=[key.week])
        digests = rows["code_digest"].dropna() if "code_digest" in rows else ()
        return Training(
            key=key,
            commit=self.commits.writer(TRAINED, key),
            code_digests={*digests},
            has_lost_models=bool((rows["status"] == NOT_REGISTERED).any()),
        )

    def _changed_code(self, training: Training) -> Iterator[Reason]:
        """Compare digests; a training from before there were any does not tell its code."""
        if training.code_digests and training.code_digests != {self.code_digest}:
            yield Reason(
                Trigger.CODE,
                f"code:{training.commit.version}:{self.code_digest[:12]}",
                f"the code of features or models is {self.code_digest[:12]}, the models are of "
                + ", ".join(sorted(one[:12] for one in training.code_digests)),
            )

    def _outdated(self, training: Training, key: RegionWeek) -> list[pd.Timestamp]:
        """Find the weeks to make again, if the code of features has changed.

        Rows from before there were digests do not tell their code: they alone are no sign of a
        change, and are made again with the others.
        """
        weeks = self.lake.weeks_of(FEATURES, key.region)
        codes = self.feature_codes.of(
            key.region, [week for week in weeks if key.week - self.window <= week <= key.week]
        )
        found = sorted(week for week, code in codes.items() if code != self.feature_digest)
        has_changed = any(code not in {None, self.feature_digest} for code in codes.values())
        is_other = bool(training.code_digests) and training.code_digests != {self.code_digest}
        return found if has_changed or is_other else []

    def _changed_data(self, training: Training, target: pd.Timestamp) -> Iterator[Reason]:
        features, remade = self._changed_features(training)
        if remade and training.code_digests == {self.code_digest}:
            yield Reason(
                Trigger.CODE,
                f"features:{training.commit.version}:{remade[:12]}",
                f"features that the models of {training.key.week:%Y-%m-%d} learnt from were made "
                f"again by other code, {self.feature_digest[:12]}",
            )
        digests = {DEMAND: self._changed_demand(training, target), FEATURES: features}
        changed = {table: digest for table, digest in digests.items() if digest}
        if changed:
            evidence = sha256("".join(changed.values()).encode()).hexdigest()[:12]
            yield Reason(
                Trigger.DATA,
                f"data:{training.commit.version}:{evidence}",
                f"what the models of {training.key.week:%Y-%m-%d} learnt from was corrected in "
                + " and ".join(changed),
            )

    def _changed_demand(self, training: Training, target: pd.Timestamp) -> str | None:
        """Digest the demand up to the cutoff as known now, if it is not what training read."""
        region, cutoff = training.key
        since = cutoff - self.window
        version = training.commit.read.get(DEMAND)
        if version is None or not self._weeks_written_since(
            DEMAND, version, region, since=since, until=target
        ):
            return None
        before, after = (
            _digest(known[known[DS] <= cutoff], [UNIQUE_ID, DS, Y])
            for known in (
                read_demand(Snapshot(self.lake, {DEMAND: version}), region, cutoff, since=since),
                read_demand(Snapshot(self.lake), region, target, since=since),
            )
        )
        return after if after != before else None

    def _changed_features(self, training: Training) -> tuple[str | None, str | None]:
        """Digest the features that were made anew since training, if they are other ones.

        Returns
        -------
        corrected : str or None
            Digest of those that the same code made again.
        remade : str or None
            Digest of those that another code made.
        """
        region, cutoff = training.key
        version = training.commit.read.get(FEATURES)
        if version is None:
            return None, None
        weeks = self._weeks_written_since(
            FEATURES, version, region, since=cutoff - self.window, until=cutoff
        )
        before, now = (self.feature_codes.of(region, weeks, one) for one in (version, None))
        remade = [week for week in weeks if now[week] not in {None, before[week]}]
        return (
            self._other_features(region, [week for week in weeks if week not in remade], version),
            self._other_features(region, remade, version),
        )

    def _other_features(
        self, region: str, weeks: Sequence[pd.Timestamp], version: int
    ) -> str | None:
        """Digest the features of some weeks as they are now, unless they are those of a version."""
        if not weeks:
            return None
        before, after = (
            self.lake.read(FEATURES, region=region, weeks=weeks, version=one)
            for one in (version, None)
        )
        columns = sorted(before.columns.intersection(after.columns))
        now = _digest(after, columns)
        return now if now != _digest(before, columns) else None

    def _weeks_written_since(
        self,
        table: str,
        version: int,
        region: str,
        *,
        since: pd.Timestamp,
        until: pd.Timestamp,
    ) -> list[pd.Timestamp]:
        written = {
            pd.Timestamp(week).as_unit("us")
            for commit in self.commits.of(table)
            if commit.version > version
            for week in commit.weeks_of(region)
        }
        return sorted(week for week in written if since <= week <= until)

    def _add_worn_models(self, case: Case, training: Training) -> None:
        """Add what is wrong with the models that serve, if training again can change it.

        The same rows and the same code give the same models, bit for bit: then only newer data,
        or another judgement of the models that there are, could help.
        """
        worn = [*self._unhealthy(case.key)]
        is_another = training.key.week < case.key.week or training.has_lost_models
        if case.reasons or is_another:
            case.reasons += worn
        elif worn:
            what = ", ".join(one.told for one in worn)
            case.notes.append(
                f"{case.key.key}: {what}; but its models were trained on all that is known, and "
                "training again would give the same ones"
            )

    def _unhealthy(self, key: RegionWeek) -> Iterator[Reason]:
        week = self._newest(HEALTH, key.region)
        if week is None:
            yield from self._old_champions(key)
            return
        rows = self.lake.read(HEALTH, region=key.region, weeks=[week])
        found = {
            Trigger.STALE: rows["status"] == Health.STALE.value,
            Trigger.DEGRADED: rows["is_degraded"],
            Trigger.DRIFT: rows["is_drifted"],
        }
        for trigger, is_so in found.items():
            if is_so.any():
                segments = ", ".join(sorted(rows.loc[is_so, "segment"]))
                told = f"{trigger.value} in the week of {week:%Y-%m-%d}: {segments}"
                yield Reason(trigger, f"{trigger.value}:{week:%Y-%m-%d}", told)

    def _old_champions(self, key: RegionWeek) -> Iterator[Reason]:
        """Judge ages by the gate's table where nobody watches the health of models."""
        week = self._newest(PROMOTION, key.region)
        if week is None:
            return
        rows = self.lake.read(PROMOTION, region=key.region, weeks=[week])
        rows = rows[(rows["kind"] == ENSEMBLE) & (key.week - rows["cutoff"] > STALE_AFTER)]
        if not rows.empty:
            told = "stale in the week of {:%Y-%m-%d}: {}".format(
                key.week, ", ".join(sorted(rows["segment"]))
            )
            yield Reason(Trigger.STALE, f"stale:{key.week:%Y-%m-%d}", told)


def _digest(rows: pd.DataFrame, columns: Sequence[str]) -> str:
    """Digest rows in an order of their own, so that the order of files does not count."""
    keys = [name for name in (WEEK, UNIQUE_ID, DS, H) if name in columns]
    ordered = rows[list(columns)].sort_values(keys, ignore_index=True)
    hashes = pd.util.hash_pandas_object(ordered, index=False)
    return sha256(hashes.to_numpy().tobytes()).hexdigest()
