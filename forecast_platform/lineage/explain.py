"""One forecast explained: what made it up, and why last week's for the same week was another.

Explanations are made from the versions that the forecasts were made from. Printing belongs to the
command line, the arithmetic to `forecast_platform.forecasting.explanation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.lineage.forecast import Found
from forecast_platform.resources.explaining import (
    BY_MODELS,
    FEATURES,
    ensemble_of,
    features_of,
    take_apart,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Registry
from forecast_platform.vocabulary import SEGMENT, Y_HAT

SERVER: Final = "server"
"""Reason for the whole difference, where a model and the historical average took turns."""

SHOWN_INPUTS: Final = (
    "event",
    "event_next",
    "event_previous",
    "discount",
    "feature",
    "display",
    "temperature",
    "precipitation",
    "snow",
    "base_level",
)
"""Inputs in which a planner recognises a reason."""


@dataclass(frozen=True)
class Explanation:
    """A forecast taken apart.

    Attributes
    ----------
    parts : dict of str to float
        Sum: the forecast [units].
    before : Found or None
        Last week's forecast of the same week.
    reasons : dict of str to float
        Sum: the forecast minus last week's [units]; empty without one.
    moved : dict of str to (object, object)
        Inputs of `SHOWN_INPUTS` that were different last week: then and now.
    remarks : list of str
    """

    found: Found
    parts: Mapping[str, float]
    before: Found | None = None
    reasons: Mapping[str, float] = field(default_factory=dict)
    moved: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """Describe it in plain values, for JSON."""
        before = self.before
        return {
            "forecast_id": str(self.found.id),
            "y_hat": float(self.found.row[Y_HAT]),
            "served_by": str(self.found.row["served_by"]),
            "parts": dict(self.parts),
            "before": before and {"forecast_id": str(before.id), "y_hat": float(before.row[Y_HAT])},
            "reasons": dict(self.reasons),
            "moved": {name: [str(then), str(now)] for name, (then, now) in self.moved.items()},
            "remarks": self.remarks,
        }


def explain(found: Found, before: Found | None, lake: Lake, registry: Registry) -> Explanation:
    """Take a forecast apart, and compare it with an earlier one of the same week.

    Raises
    ------
    TableMissing
        If the versions that it was made from are gone.
    RegistryError
        If its model's files are gone, changed or out of reach.
    """
    row = _frame(found)
    now = _features(found, row, lake)
    parts = take_apart(row, now, found.served, registry)
    made = Explanation(found, _plain(parts))
    if before is None:
        return made
    row_before = _frame(before)
    then = _features(before, row_before, lake)
    moved = {
        name: (then[name].iloc[0], now[name].iloc[0])
        for name in SHOWN_INPUTS
        if name in now and name in then and then[name].iloc[0] != now[name].iloc[0]
    }
    reasons, remarks = _reasons((found, row, now), (before, row_before, then), registry)
    return Explanation(found, made.parts, before, reasons, moved, remarks)


_Side = tuple[Found, pd.DataFrame, pd.DataFrame]


def _reasons(new: _Side, old: _Side, registry: Registry) -> tuple[dict[str, float], list[str]]:
    from forecast_platform.forecasting.explanation.contributions import changes

    (found, row, now), (before, row_before, then) = new, old
    served = [str(one.row["served_by"]) for one in (before, found)]
    if not set(served) <= set(BY_MODELS):
        difference = float(found.row[Y_HAT]) - float(before.row[Y_HAT])
        told = f"last week the {served[0]} served, now the {served[1]}".replace("_", " ")
        return {SERVER: difference}, [told]
    models = [
        ensemble_of(one.iloc[0], side.served, registry)
        for one, side in ((row, found), (row_before, before))
    ]
    sides = [
        (model, features, rows[Y_HAT].to_numpy(np.float64))
        for model, features, rows in zip(models, (now, then), (row, row_before), strict=True)
    ]
    remarks = []
    if found.row[SEGMENT] != before.row[SEGMENT]:
        remarks += [f"the product moved from {before.row[SEGMENT]} to {found.row[SEGMENT]}"]
    if found.row["model_version"] != before.row["model_version"]:
        cutoffs = [f"{one.row['cutoff']:%Y-%m-%d}" for one in (before, found)]
        remarks += [f"the model was trained up to {cutoffs[0]}, now up to {cutoffs[1]}"]
    return _plain(changes(sides[0], sides[1])), remarks


def _frame(found: Found) -> pd.DataFrame:
    return found.rows[found.rows["forecast_id"] == str(found.id)]


def _features(found: Found, row: pd.DataFrame, lake: Lake) -> pd.DataFrame:
    key = found.id.key
    version = found.commit.read.get(FEATURES)
    features = lake.read(FEATURES, region=key.region, weeks=[key.week], version=version)
    return features_of(row, features)


def _plain(one_row: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(value) for name, value in one_row.iloc[0].items()}
