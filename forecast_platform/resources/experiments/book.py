"""What experiments there are: the table `experiments`, read and added to.

How an arm forecasts is in `arms`; starting and stopping, in `control`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
import pandas as pd

from forecast_platform.errors import ExperimentRefused
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.experiments import Design, Experiments, State
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import STORE_ID, UNIQUE_ID

TABLE: Final = "experiments"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
FOLLOWED: Final = (CHAMPION, CHALLENGER)
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
Metric = Literal["mape", "wape"]


@dataclass(frozen=True)
class Version:
    """One registered model, and all that is needed to fetch it."""

    model_name: str
    version: int
    sha256: str
    artifact_uri: str
    cutoff: str
    """Monday, ISO 8601."""

    def as_row(self) -> dict[str, Any]:
        """Describe it as a row of the manifest does."""
        return {
            "model_name": self.model_name,
            "champion_version": self.version,
            "sha256": self.sha256,
            "artifact_uri": self.artifact_uri,
            "cutoff": pd.Timestamp(self.cutoff).as_unit("us"),
        }


@dataclass(frozen=True)
class Arm:
    """What one arm is: whom it follows, or versions that stay the same.

    Parameters
    ----------
    follows : {"champion", "challenger"} or None
        The model that serves each week, or the newest one that was trained, promoted or not.
    versions : mapping of str to Version
        By segment, when it follows nobody.
    """

    follows: str | None = None
    versions: Mapping[str, Version] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        given = json.loads(text)
        versions = {name: Version(**one) for name, one in given["versions"].items()}
        return cls(given["follows"], versions)

    def to_json(self) -> str:
        """Write it for the table."""
        versions = {name: vars(one) for name, one in self.versions.items()}
        return json.dumps({"follows": self.follows, "versions": versions}, sort_keys=True)

    @property
    def label(self) -> str:
        """Name it in a few words.

        >>> Arm("champion").label
        'champion'
        """
        if self.follows:
            return self.follows
        return ", ".join(f"{name}={one.version}" for name, one in sorted(self.versions.items()))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment, as it stands after its last change.

    Attributes
    ----------
    first_week, last_week : pandas.Timestamp
        Weeks whose forecasts it serves, both included; without a last one while it runs.
    stores : mapping of str to str
        Arm of each store at the start, of the design `stores`.
    """

    region: str
    name: str
    state: State
    design: Design
    segments: tuple[str, ...]
    a: Arm
    b: Arm
    metric: Metric = "mape"
    alpha: float = 0.05
    min_difference: float = 0.005
    first_week: pd.Timestamp
    last_week: pd.Timestamp | None = None
    stores: Mapping[str, str] = field(default_factory=dict)
    winner: str | None = None
    promoted: str | None = None
    who: str
    why: str
    decided_at: str
    run_id: str

    @property
    def order(self) -> tuple[str, str, str]:
        """What names the change that made it so, and says which of two came first."""
        return self.decided_at, self.name, self.run_id

    def serves(self, week: pd.Timestamp) -> bool:
        """Whether forecasts of a week are its business."""
        return self.first_week <= week and (self.last_week is None or week <= self.last_week)

    def arms_of(self, rows: pd.DataFrame, week: pd.Timestamp) -> np.ndarray:
        """Say which arm serves each row.

        Returns
        -------
        numpy.ndarray of shape (n_rows,)
            ``A`` or ``B``.
        """
        from forecast_platform.forecasting.experiments.assignment import (
            arms_of_series,
            arms_of_stores,
        )

        if self.design is Design.INTERLEAVED:
            return arms_of_series(rows[UNIQUE_ID], week, self.name)
        return arms_of_stores(rows[STORE_ID], self.stores, self.name)

    def to_row(self) -> dict[str, Any]:
        """Describe it as a row of the table."""
        return {
            "region": self.region,
            "week": self.first_week,
            "experiment": self.name,
            "state": self.state.value,
            "design": self.design.value,
            "segments": json.dumps(list(self.segments)),
            "arm_a": self.a.to_json(),
            "arm_b": self.b.to_json(),
            "metric": self.metric,
            "alpha": self.alpha,
            "min_difference": self.min_difference,
            "last_week": self.last_week,
            "stores": json.dumps(dict(self.stores), sort_keys=True),
            "winner": self.winner,
            "promoted": self.promoted,
            "who": self.who,
            "why": self.why,
            "decided_at": self.decided_at,
            "run_id": self.run_id,
        }

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """Read a row of the table."""
        return cls(
            region=row["region"],
            name=row["experiment"],
            state=State(row["state"]),
            design=Design(row["design"]),
            segments=tuple(json.loads(row["segments"])),
            a=Arm.from_json(row["arm_a"]),
            b=Arm.from_json(row["arm_b"]),
            metric=row["metric"],
            alpha=float(row["alpha"]),
            min_difference=float(row["min_difference"]),
            first_week=pd.Timestamp(row["week"]),
            last_week=None if pd.isna(row["last_week"]) else pd.Timestamp(row["last_week"]),
            stores=json.loads(row["stores"]),
            winner=_text(row["winner"]),
            promoted=_text(row["promoted"]),
            who=row["who"],
            why=row["why"],
            decided_at=row["decided_at"],
            run_id=row["run_id"],
        )


def experiments_of(tables: Snapshot, region: str) -> list[Experiment]:
    """Read the experiments of a region as they stand, in the order in which they were started."""
    return list({one.name: one for one in history_of(tables, region)}.values())


def history_of(tables: Snapshot, region: str) -> list[Experiment]:
    """Read every change of the experiments of a region, in order; refused ones never were."""
    if not tables.exists(TABLE):
        return []
    rows = tables.read(TABLE, region=region).sort_values(["decided_at", "experiment", "run_id"])
    found = [Experiment.from_row(row) for row in rows.to_dict("records")]
    refused = {one.order for one in found if one.state is State.REFUSED}
    return [one for one in found if one.order not in refused]


def serving_at(key: RegionWeek, tables: Snapshot) -> list[Experiment]:
    """Find the experiments that serve a part of a region-week."""
    return [one for one in experiments_of(tables, key.region) if one.serves(key.week)]


def record(lake: Lake, experiments: Sequence[Experiment], run_id: str) -> None:
    """Add changes to the table."""
    rows = as_table(pd.DataFrame([one.to_row() for one in experiments]), Experiments)
    lake.append(TABLE, Experiments.validate(rows), run_id=run_id)


def parse_name(text: str) -> str:
    """Return ``text`` when it can be the name of an experiment.

    Raises
    ------
    ExperimentRefused
        If it cannot.
    """
    if not NAME.fullmatch(text):
        raise ExperimentRefused(
            f"{text!r} is no name of an experiment: use 1 to 31 of a-z, 0-9, '_' and '-'"
        )
    return text


def _text(cell: object) -> str | None:
    return None if pd.isna(cell) else str(cell)  # type: ignore[call-overload]
