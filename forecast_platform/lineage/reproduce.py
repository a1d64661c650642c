"""A forecast made again from the versions that made it, and compared to the last bit.

Nothing is written: features, models and forecasts are made in memory by the functions that the
assets use. What is behind a forecast is found by `trace`; printing belongs to the command line.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.errors import RegistryError, TableMissing
from forecast_platform.lineage.commits import Commit, Commits
from forecast_platform.lineage.depth import Depth
from forecast_platform.lineage.forecast import Found
from forecast_platform.lineage.trace import find_training
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.featuring import make_features
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_rows import to_arrow, to_pandas
from forecast_platform.resources.manifest import PROMOTION
from forecast_platform.resources.members import member_families
from forecast_platform.resources.model_files import digest_of
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.packing import candidates_of
from forecast_platform.resources.provenance import environment
from forecast_platform.resources.region_training import (
    FEATURES,
    TrainingInputs,
    read_inputs,
    train_at,
)
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.scoring import in_one_thread, score, with_ids
from forecast_platform.resources.serving_models import load_or_copy
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.features import DemandFeatures
from forecast_platform.schemas.forecasts import CARRIED_FORWARD
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import (
    EMBEDDING_NET,
    HISTORICAL_AVERAGE,
    LASSO,
    OTHER_MEMBERS,
    QUANTILES,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    Y_HAT,
    H,
)

NUMBERS: Final = (Y_HAT, *QUANTILES, LASSO, EMBEDDING_NET, HISTORICAL_AVERAGE)
WHO: Final = (OTHER_MEMBERS, "served_by", "model_name", "model_version", "cutoff")
KEY: Final = [WEEK, UNIQUE_ID, H]
MAX_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was made again.

    Attributes
    ----------
    is_same : bool
        Whether it is what was recorded, to the last bit.
    detail : str
        What was compared, or how it differs.
    """

    what: str
    is_same: bool
    detail: str


@dataclass
class Reproduction:
    """A forecast made again.

    Attributes
    ----------
    steps : list of Step
        In order; a later one may differ only because an earlier one does.
    notes : list of str
        What is not the same here and then: code, machine, libraries.
    """

    found: Found
    depth: Depth
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether everything came out as recorded."""
        return bool(self.steps) and all(step.is_same for step in self.steps)

    def described(self) -> dict[str, Any]:
        """Describe it in plain values, for JSON."""
        return {
            "forecast_id": str(self.found.id),
            "from": self.depth.value,
            "is_same": self.is_same,
            "steps": [
                {"what": one.what, "is_same": one.is_same, "detail": one.detail}
                for one in self.steps
            ],
            "notes": self.notes,
        }


def reproduce(
    found: Found,
    lake: Lake,
    commits: Commits,
    registry: Registry,
    *,
    depth: Depth = Depth.MARTS,
    on_step: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Make a forecast again and compare every step with what was recorded.

    Parameters
    ----------
    found : Found
    lake : Lake
    commits : Commits
    registry : Registry
        Has the model's files; no model is registered.
    depth : Depth
    on_step : callable
        Told what is made next.

    Returns
    -------
    Reproduction
        A part that is gone is a step that differs.
    """
    return _Reproducer(lake, commits, registry, Reproduction(found, depth), on_step).run()


@dataclass
class _Reproducer:
    lake: Lake
    commits: Commits
    registry: Registry
    result: Reproduction
    on_step: Callable[[str], None]

    @property
    def key(self) -> RegionWeek:
        return self.result.found.id.key

    def run(self) -> Reproduction:
        found, depth = self.result.found, self.result.depth
        self._note_differences(found.commit)
        with self._step("model"):
            self._check_model()
        with self._step("forecast of the recorded model"):
            self._score()
        if depth is Depth.MODEL:
            return self.result
        features = None
        if depth is Depth.MARTS:
            with self._step("features"):
                features = self._check_features(found.commit.read, [self.key.week])
        if found.served is not None:
            with self._step("training"):
                self._retrain(found.served, features)
        elif features is not None:
            self._compare_forecast("forecast from the features made again", features)
        return self.result

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """Let what is gone be a difference of a step, not the end of all."""
        self.on_step(what)
        try:
            yield
        except (TableMissing, RegistryError, OSError, pa.ArrowException) as error:
            self._add(what, f"{type(error).__name__}: {error}", is_same=False)

    def _add(self, what: str, detail: str, *, is_same: bool = True) -> None:
        self.result.steps.append(Step(what, is_same, detail))

    def _note_differences(self, commit: Commit) -> None:
        """Say what may change a last bit without anybody having changed a table."""
        notes = self.result.notes
        if commit.git_commit != self.lake.git_commit:
            here, then = self.lake.git_commit[:12], commit.git_commit[:12]
            note = f"{commit.table}: the code here is {here}, it was made by {then}"
            notes += [note] if note not in notes else []
        here = environment()
        for name, then in commit.made_with.items():
            note = f"{commit.table}: {name} is {here.get(name, 'missing')} here, it was {then}"
            if here.get(name) != then and note not in notes:
                notes.append(note)

    def _check_model(self) -> None:
        row = self.result.found.served
        if row is None:
            self._add("model", "a historical average made on the spot, from the week's demand")
            return
        load_or_copy(self.registry, str(row["model_name"]), row)
        self._add("model", f"files have the registered digest {str(row['sha256'])[:12]}")

    def _tables(self) -> Snapshot:
        """Read tables at the versions that the forecast's run has read."""
        return Snapshot(self.lake, dict(self.result.found.commit.read))

    def _score(self) -> None:
        read = self.result.found.commit.read
        features = self.lake.read(
            FEATURES, region=self.key.region, weeks=[self.key.week], version=read.get(FEATURES)
        )
        self._compare_forecast("forecast of the recorded model", features)

    def _compare_forecast(self, what: str, features: pd.DataFrame) -> None:
        row = self.result.found.row
        segment = features[features[SEGMENT] == row[SEGMENT]]
        if segment.empty:
            self._add(what, f"the features have no rows of {row[SEGMENT]}", is_same=False)
            return
        served_by = self.result.found.served_by
        made = score(self.key, self._tables(), self.registry, features=segment, served_by=served_by)
        unknown_then = {name for name in QUANTILES if pd.isna(row.get(name))}
        recorded = tuple(name for name in NUMBERS if name not in unknown_then)
        self._compare_rows(what, made, (*recorded, *WHO))

    def _compare_rows(self, what: str, made: pd.DataFrame, columns: tuple[str, ...]) -> None:
        """Compare the forecast itself, and count the others of its segment that differ."""
        found = self.result.found
        own = made[made["forecast_id"] == str(found.id)]
        if own.empty:
            self._add(what, "the forecast is not among those made again", is_same=False)
            return
        then = dict.fromkeys(columns) | dict(found.row)  # older rows lack later columns
        wrong = [name for name in columns if not _same_cell(own[name].iloc[0], then[name])]
        if wrong:
            shown = "; ".join(
                f"{name} {own[name].iloc[0]}, recorded {then[name]}" for name in wrong
            )
            self._add(what, shown, is_same=False)
            return
        recorded = found.rows.set_index("forecast_id").reindex(made["forecast_id"])
        n_wrong = int((~_same_values(made[Y_HAT], recorded[Y_HAT])).sum())
        others = f"{len(made)} forecasts of {found.row[SEGMENT]}"
        if n_wrong:
            self._add(what, f"it is the same, but {n_wrong} of {others} are not", is_same=False)
            return
        self._add(what, f"y_hat {float(own[Y_HAT].iloc[0])!r}; and all {others}")

    def _check_features(self, read: Mapping[str, int], weeks: list[pd.Timestamp]) -> pd.DataFrame:
        """Make features again and compare them; return those made again, in the recorded order."""
        made = self._remake(read, weeks)
        first, last = min(weeks), max(weeks)
        recorded = self.lake.read(
            FEATURES, region=self.key.region, since=first, until=last, version=read[FEATURES]
        )
        what = "features" if first == last else "features of the training"
        order = recorded.set_index(KEY).index
        aligned = made.set_index(KEY).reindex(order).reset_index()[list(recorded.columns)]
        missing = len(made) - len(recorded)
        wrong = [
            str(name) for name in recorded if not _same_values(aligned[name], recorded[name]).all()
        ]
        if missing or wrong:
            rows = np.zeros(len(recorded), bool)
            for name in wrong:
                rows |= ~_same_values(aligned[name], recorded[name])
            shown = ", ".join(wrong[:MAX_SHOWN]) + (" and others" if len(wrong) > MAX_SHOWN else "")
            detail = f"{rows.sum()} of {len(recorded)} rows differ, in {shown}" if wrong else ""
            more = f"{len(made)} rows instead of {len(recorded)}" if missing else ""
            self._add(what, "; ".join(filter(None, (detail, more))), is_same=False)
        else:
            span = f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d}..{last:%Y-%m-%d}"
            self._add(what, f"all {len(recorded):,} rows of {span}")
        return aligned

    def _remake(self, read: Mapping[str, int], weeks: list[pd.Timestamp]) -> pd.DataFrame:
        """Make the features of some weeks, each from the marts that its commit has read."""
        if FEATURES not in read:
            raise TableMissing("no version of demand_features was noted by the commit")
        state = self.commits.state(FEATURES, self.key.region, read[FEATURES])
        groups: dict[Commit, list[pd.Timestamp]] = defaultdict(list)
        for week in weeks:
            if (commit := state.get(f"{week:%Y-%m-%d}")) is not None:
                groups[commit].append(week)
        if not groups:
            raise TableMissing("no known commit of demand_features wrote the weeks")
        made = [self._remake_of(commit, own) for commit, own in groups.items()]
        return pd.concat(made, ignore_index=True)

    def _remake_of(self, commit: Commit, weeks: list[pd.Timestamp]) -> pd.DataFrame:
        self._note_differences(commit)
        stored = self.lake.read(
            FEATURES,
            region=self.key.region,
            weeks=weeks[:1],
            columns=[H],
            version=commit.version,
        )
        marts = Snapshot(self.lake, dict(commit.read))
        made = make_features(marts, self.key.region, weeks, int(stored[H].max()))
        return to_pandas(to_arrow(as_table(made, DemandFeatures)))

    def _retrain(self, served: Mapping[str, Any], features: pd.DataFrame | None) -> None:
        """Train the region's models again; compare the one that served, and what it forecasts."""
        commit, _ = find_training(self.lake, self.commits, self.key.region, served)
        self._note_differences(commit)
        if commit.settings is None:
            raise TableMissing(
                f"version {commit.version} of {commit.table} was written before commits kept the "
                "settings of the training"
            )
        settings = ModelSettings(**commit.settings)
        inputs = self._inputs(commit, pd.Timestamp(served["cutoff"]), settings)
        self.on_step("training")
        trained = RegionWeek(self.key.region, pd.Timestamp(served["cutoff"]))
        packed = candidates_of(self.key.region, train_at(trained, inputs, settings))
        files = {one.name: one.files for one in packed.values()}.get(str(served["model_name"]))
        if files is None:
            raise TableMissing(f"training again gives no {served['model_name']}")
        digest, recorded = digest_of(files), str(served["sha256"])
        same = digest == recorded
        shown = f"digest {digest[:12]}" + ("" if same else f", registered {recorded[:12]}")
        self._add("training", f"{served['model_name']}: {shown}", is_same=same)
        if self.result.found.row["served_by"] == CARRIED_FORWARD:
            return  # it was forecast in an earlier week, of which the model is compared
        if features is None:
            features = self._tables().read(FEATURES, region=self.key.region, weeks=[self.key.week])
        self._compare_retrained(files, features)

    def _inputs(
        self, commit: Commit, cutoff: pd.Timestamp, settings: ModelSettings
    ) -> TrainingInputs:
        """Read what the model has learnt from; with features made again where that is asked for."""
        tables = Snapshot(self.lake, dict(commit.read))
        registry = self.registry if PROMOTION in commit.read else None  # nobody lent otherwise
        inputs = read_inputs(tables, self.key.region, [cutoff], settings, registry)
        if self.result.depth is not Depth.MARTS:
            return inputs
        weeks = [pd.Timestamp(week) for week in sorted(inputs.features[WEEK].unique())]
        self.on_step("features of the training")
        features = self._check_features(commit.read, weeks)
        return TrainingInputs(features, inputs.demand, inputs.lenders)

    @in_one_thread
    def _compare_retrained(self, files: Mapping[str, bytes], features: pd.DataFrame) -> None:
        """Forecast with the model trained again, in place of the registered one."""
        from forecast_platform.forecasting.models.files import load_model

        rows = features[features[SEGMENT] == self.result.found.row[SEGMENT]]
        forecast = np.clip(load_model(files, member_families()).predict(rows), 0, None)
        made = with_ids(self.key, rows.assign(**{Y_HAT: forecast}))
        recorded, version = self.result.found.rows, self.result.found.row["model_version"]
        by_it = recorded.loc[recorded["model_version"] == version, "forecast_id"]
        own = made[made["forecast_id"].isin(by_it)]  # an experiment's other arm has another model
        self._compare_rows("forecast of the model trained again", own, (Y_HAT,))


def _same_cell(made: Any, recorded: Any) -> bool:
    """Compare two cells to the last bit; missing is the same as missing."""
    if pd.isna(made) or pd.isna(recorded):
        return bool(pd.isna(made) and pd.isna(recorded))
    if isinstance(made, float):
        return np.float64(made).tobytes() == np.float64(recorded).tobytes()
    return bool(made == recorded)


def _same_values(made: pd.Series, recorded: pd.Series) -> np.ndarray:
    """Compare two columns row by row, to the last bit."""
    left, right = made.to_numpy(), recorded.to_numpy()
    if left.dtype.kind == "f" and right.dtype.kind == "f":
        size = max(left.dtype.itemsize, right.dtype.itemsize)
        whole = {4: np.int32, 8: np.int64}[size]
        real = {4: np.float32, 8: np.float64}[size]
        bits = left.astype(real).view(whole) == right.astype(real).view(whole)
        return bits | (np.isnan(left) & np.isnan(right))
    missing = made.isna().to_numpy() & recorded.isna().to_numpy()
    return (left == right) | missing
