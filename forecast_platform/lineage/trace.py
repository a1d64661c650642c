"""What a forecast was made from: model, tables at their versions, delivered files, code.

Goes backwards from commit to commit, through what each says that it read. Printing it belongs to
the command line.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import pandas as pd

from forecast_platform.errors import RegistryError, TableMissing
from forecast_platform.lineage.commits import Commit, Commits
from forecast_platform.lineage.forecast import Found
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.conditioning_inputs import RAW_TABLES
from forecast_platform.resources.demand import DEMAND
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.region_training import FEATURES
from forecast_platform.resources.registry import Registry
from forecast_platform.schemas.forecasts import EXPERIMENT

TRAINED: Final = "trained_ensembles"
PROMOTION: Final = "promotion"
LEDGER: Final = "row_ledger"
FORECAST_FACTS: Final = (
    *("forecast_id", "region", "week", "unique_id", "ds", "h", "y_hat", "historical_average"),
    *("served_by", "failover_reason", "model_name", "model_version", "cutoff"),
    *("experiment", "arm", "forecast_a", "forecast_b", "version_a", "version_b", "experiment_note"),
    *("run_id", "git_commit"),
)
MODEL_FACTS: Final = ("model_name", "champion_version", "cutoff", "sha256", "artifact_uri")

Uses = dict[str, dict[Commit, set[str]]]
"""By table: the commits whose rows were read, and of which weeks (ISO dates)."""


@dataclass(frozen=True, slots=True)
class File:
    """One delivered file, as the ledger of rows knows it."""

    source: str
    week: str
    file: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Model:
    """The registered model that made a forecast.

    Attributes
    ----------
    row : Mapping[str, Any]
        Its row of `promotion`.
    promoted, trained : Commit or None
        Commits of `promotion` and `trained_ensembles`; None when they are not known any more.
    mlflow_run_id : str or None
    problem : str
        Why its files are not the registered ones; empty when they are.
    """

    row: Mapping[str, Any]
    promoted: Commit | None
    trained: Commit | None
    mlflow_run_id: str | None
    problem: str = ""

    @property
    def cutoff(self) -> pd.Timestamp:
        """Last week whose demand it has learnt from."""
        return pd.Timestamp(self.row["cutoff"])


@dataclass
class Trace:
    """A forecast and all that is behind it.

    Attributes
    ----------
    model : Model or None
        None when the historical average was made on the spot, from the demand of its week.
    uses : dict
        Commits behind it, by table.
    problems : list of str
        Parts of the chain that are gone or not as they were.
    """

    found: Found
    model: Model | None = None
    uses: Uses = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def git_commits(self) -> list[str]:
        """Commits of the code that had a part in it."""
        commits = [self.found.commit, *(one for used in self.uses.values() for one in used)]
        return sorted({one.git_commit for one in commits})

    def described(self) -> dict[str, Any]:
        """Describe it in plain values, for JSON."""
        return {
            "forecast": {name: _plain(self.found.row.get(name)) for name in FORECAST_FACTS},
            "made_by": self.found.commit.described(),
            "model": _described_model(self.model),
            "tables": [
                {**one.described(), "weeks": sorted(weeks)}
                for used in self.uses.values()
                for one, weeks in sorted(used.items(), key=lambda item: item[0].version)
            ],
            "files": [
                {name: getattr(one, name) for name in File.__slots__}
                for one in sorted(self.files, key=lambda one: (one.source, one.week, one.file))
            ],
            "git_commits": self.git_commits,
            "problems": self.problems,
        }


def trace(found: Found, lake: Lake, commits: Commits, registry: Registry) -> Trace:
    """Follow a forecast back to the files and the code that it was made from.

    What is no longer there becomes a problem of the trace, not an error.
    """
    return _Tracer(lake, commits, registry, Trace(found)).follow()


@dataclass
class _Tracer:
    lake: Lake
    commits: Commits
    registry: Registry
    result: Trace

    @property
    def region(self) -> str:
        return self.result.found.id.key.region

    def follow(self) -> Trace:
        found, read = self.result.found, self.result.found.commit.read
        week = f"{found.id.key.week:%Y-%m-%d}"
        self._use(FEATURES, read.get(FEATURES), [week])
        if found.served is not None:
            self._follow_model(found.served)
        else:
            self._use(DEMAND, read.get(DEMAND), self._weeks_until(DEMAND, read, week))
        for table in sorted(self.result.uses):
            self._add_files(table, self.result.uses[table])
        self.result.files = list(dict.fromkeys(self.result.files))
        return self.result

    def _follow_model(self, row: Mapping[str, Any]) -> None:
        model = self.result.model = self._model(row)
        if model.problem:
            self.result.problems.append(model.problem)
        if model.trained is None:
            return
        read, cutoff = model.trained.read, f"{model.cutoff:%Y-%m-%d}"
        weeks = int((model.trained.settings or {}).get("training_weeks", 0))
        first = f"{model.cutoff - pd.Timedelta(weeks=weeks):%Y-%m-%d}"
        learnt = self._weeks_until(FEATURES, read, cutoff)
        self._use(FEATURES, read.get(FEATURES), [week for week in learnt if week >= first])
        self._use(DEMAND, read.get(DEMAND), self._weeks_until(DEMAND, read, cutoff))

    def _model(self, row: Mapping[str, Any]) -> Model:
        promoted, found, problem = None, None, ""
        try:
            if row["verdict"] != EXPERIMENT:  # an arm serves without having been promoted
                judged = RegionWeek(self.region, pd.Timestamp(row["week"]))
                until = self.result.found.commit.read.get(PROMOTION)
                promoted = self.commits.writer(PROMOTION, judged, until=until)
            found = find_training(self.lake, self.commits, self.region, row)
        except TableMissing as error:
            self.result.problems.append(str(error))
        try:
            self.registry.fetch(str(row["artifact_uri"]), str(row["sha256"]))
        except RegistryError as error:
            problem = str(error)
        trained, run_id = found or (None, None)
        return Model(row, promoted, trained, run_id, problem)

    def _weeks_until(self, table: str, read: Mapping[str, int], last: str) -> list[str]:
        if table not in read:
            return []
        known = self.commits.state(table, self.region, read[table])
        return [week for week in known if week <= last]

    def _use(self, table: str, version: int | None, weeks: Iterable[str]) -> None:
        """Note which commits wrote the rows that were read, and follow what they read."""
        queue = [] if version is None else [(table, version, frozenset(weeks))]
        seen = set(queue)
        while queue:
            read = queue.pop()
            try:
                new = self._note(*read)
            except TableMissing as error:
                self.result.problems.append(str(error))
                continue
            for commit, added in new.items():
                for source, at in commit.read.items():
                    step = (source, at, frozenset(self._weeks_read(source, at, added)))
                    if step not in seen:
                        seen.add(step)
                        queue.append(step)

    def _note(self, table: str, version: int, weeks: Iterable[str]) -> dict[Commit, set[str]]:
        """Note the commits of a read and its weeks; return those that are new."""
        state = self.commits.state(table, self.region, version)
        used = self.result.uses.setdefault(table, {})
        new: dict[Commit, set[str]] = defaultdict(set)
        for week in weeks:
            commit = state.get(week)
            if commit is not None and week not in used.get(commit, ()):
                new[commit].add(week)
        for commit, added in new.items():
            used.setdefault(commit, set()).update(added)
        return new

    def _weeks_read(self, table: str, version: int, made: set[str]) -> list[str]:
        """Say of which weeks a table was known when some weeks of another were made."""
        try:
            known = self.commits.state(table, self.region, version)
        except TableMissing:
            return []  # told when the table itself is followed
        return [week for week in known if week <= max(made)]

    def _add_files(self, table: str, used: Mapping[Commit, set[str]]) -> None:
        """List the files of the raw rows that were read, of the time when they were read."""
        if table not in RAW_TABLES:
            return
        source = table.removeprefix("raw_")
        try:
            now = self._ledger(source)
            for commit, weeks in used.items():
                told = commit.provenance.get("files", {})
                is_as_now = {
                    week: told.get(f"{self.region}|{week}") == content_digest(now.get(week, ()))
                    for week in weeks
                }
                old = [week for week, same in is_as_now.items() if not same]
                then = self._ledger(source, commit) if old else {}
                for week, same in is_as_now.items():
                    self.result.files += (now if same else then).get(week, [])
        except TableMissing as error:
            self.result.problems.append(f"files of {source}: {error}")

    def _ledger(self, source: str, commit: Commit | None = None) -> dict[str, list[File]]:
        """Read the files of each week of a source: now, or as of a commit of its rows."""
        version = None
        if commit is not None:
            own = [
                one
                for one in self.commits.of(LEDGER)
                if one.run_id == commit.run_id and one.extra_keys.get("source") == source
            ]
            if not own:
                raise TableMissing(
                    f"run {commit.run_id} that wrote version {commit.version} of {commit.table} "
                    f"left nothing in {LEDGER}"
                )
            version = own[0].version
        columns = ["week", "file", "sha256", "size_bytes"]
        rows = self.lake.read(
            LEDGER, region=self.region, where={"source": source}, columns=columns, version=version
        )
        files: dict[str, list[File]] = defaultdict(list)
        for row in rows.to_dict("records"):
            week = f"{row['week']:%Y-%m-%d}"
            if pd.notna(row["sha256"]):
                one = File(source, week, row["file"], row["sha256"], int(row["size_bytes"]))
                files[week].append(one)
        return files


def find_training(
    lake: Lake, commits: Commits, region: str, model: Mapping[str, Any]
) -> tuple[Commit, str]:
    """Find the commit of `trained_ensembles` that told of a model, and its MLflow run.

    Raises
    ------
    TableMissing
        If no commit that can still be read did.
    """
    key = RegionWeek(region, pd.Timestamp(model["cutoff"]))
    for one in commits.writers(TRAINED, key):
        rows = lake.read(TRAINED, region=region, weeks=[key.week], version=one.version)
        same = (rows["model_name"] == model["model_name"]) & (rows["sha256"] == model["sha256"])
        if same.any():
            return one, str(rows.loc[same, "mlflow_run_id"].iloc[0])
    raise TableMissing(
        f"no readable version of {TRAINED} tells of {model['model_name']} with the digest "
        f"{str(model['sha256'])[:12]}: its training cannot be followed"
    )


def content_digest(files: Iterable[File]) -> str:
    """Digest the files of a region-week, as the commits of raw tables note it."""
    return sha256("\n".join(sorted(one.sha256 for one in files)).encode()).hexdigest()


def _described_model(model: Model | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {
        **{name: _plain(model.row.get(name)) for name in MODEL_FACTS},
        "mlflow_run_id": model.mlflow_run_id,
        "verdict": model.row.get("verdict"),
        "reason": model.row.get("reason"),
        "promoted_by": model.promoted and model.promoted.described(),
        "trained_by": model.trained and model.trained.described(),
        "settings": model.trained and model.trained.settings,
        "made_with": model.trained and dict(model.trained.made_with),
        "files_are_as_registered": not model.problem,
    }


def _plain(value: Any) -> Any:
    """Turn a cell into what JSON knows."""
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return value.item() if hasattr(value, "item") else value
