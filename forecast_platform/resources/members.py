"""The configured members of the ensembles: their classes, and their forecasts in a table.

The setting ``members`` is the only place that names a class: what is trained is chosen from it, and
a model's file is read by it. What a class must do is in
`forecast_platform.forecasting.models.families`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from forecast_platform.errors import BadMember
from forecast_platform.settings import get_settings
from forecast_platform.vocabulary import MEMBERS, OTHER_MEMBERS

if TYPE_CHECKING:
    from forecast_platform.forecasting.models.families import Member

VARIABLE: Final = "FORECAST_PLATFORM_MEMBERS"


def member_families(names: Sequence[str] | None = None) -> dict[str, type["Member"]]:
    """Import the classes of the configured members.

    Parameters
    ----------
    names : sequence of str, optional
        Only these; all of them by default.

    Raises
    ------
    BadMember
        If a name is not configured, or a class cannot be imported or is none of a member.
    """
    paths = get_settings().member_paths
    unknown = sorted(set(names or ()) - paths.keys())
    if unknown:
        raise BadMember(
            f"no member is named {', '.join(unknown)}; configured are {', '.join(paths)}. "
            f"{VARIABLE} names further ones, as JSON from name to <module>:<class>"
        )
    wanted = paths if names is None else {name: paths[name] for name in names}
    return {name: _imported(name, path) for name, path in wanted.items()}


def member_paths(names: Sequence[str]) -> list[str]:
    """Look up ``<module>:<class>`` of configured members, without importing any."""
    paths = get_settings().member_paths
    return [paths[name] for name in names if name in paths]


@cache
def _imported(name: str, path: str) -> type["Member"]:
    from forecast_platform.forecasting.models.families import UnfitFamily, check_family

    module_name, _, class_name = path.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise BadMember(
            f"member {name}: module {module_name} cannot be imported: {error}. Install it in this "
            f"environment, or mend {VARIABLE}"
        ) from error
    family = getattr(module, class_name, None)
    if family is None:
        there = sorted(one for one, value in vars(module).items() if isinstance(value, type))
        raise BadMember(
            f"member {name}: {module_name} has no class {class_name}; it has {', '.join(there)}"
        )
    try:
        return check_family(name, family)
    except UnfitFamily as error:
        raise BadMember(f"{error}. See docs/extending.md") from error


def as_columns(forecasts: pd.DataFrame) -> dict[str, Any]:
    """Bring members' forecasts into the columns of a table.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        A column per member [units].

    Returns
    -------
    dict of str to array
        A column for each built-in member, missing where it is left out, and one with the others
        as JSON, missing where there are none.

    Examples
    --------
    >>> as_columns(pd.DataFrame({"lasso": [1.0], "gbm": [2.5]}))["other_members"]
    ['{"gbm": 2.5}']
    """
    missing = np.full(len(forecasts), np.nan)
    columns: dict[str, Any] = {
        name: forecasts[name].to_numpy() if name in forecasts else missing for name in MEMBERS
    }
    others = [name for name in forecasts if name not in MEMBERS]
    rows = forecasts[others].to_dict("records")
    columns[OTHER_MEMBERS] = [json.dumps(row) for row in rows] if others else None
    return columns


def with_members_apart(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Undo `as_columns`: give each further member a column, and name all that there are."""
    built_in = [name for name in MEMBERS if name in table and table[name].notna().any()]
    if OTHER_MEMBERS not in table or not table[OTHER_MEMBERS].notna().any():
        return table, tuple(built_in) or MEMBERS
    parsed: list[Mapping[str, float]] = [
        json.loads(text) if isinstance(text, str) else {} for text in table[OTHER_MEMBERS]
    ]
    others = pd.DataFrame(parsed, index=table.index, dtype=np.float64)
    return table.join(others), (*built_in, *map(str, others))
