"""What a commit of the lake says of its rows: what they were made from, with what.

Kept in the metadata of each commit by `forecast_platform.resources.lake` and read by
`forecast-platform trace` and `reproduce`.
"""

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

READ: Final = "read"
"""Version of every table that was read."""

WITH: Final = "made_with"
"""Versions of what computed, where the last bit of a result depends on it."""

SETTINGS: Final = "settings"

COMPUTING: Final = ("numpy", "pandas", "torch", "scikit-learn")
"""Libraries whose version may change the last bit of a result."""


def made_from(versions: Mapping[str, int | None], **more: Any) -> dict[str, Any]:
    """Describe where rows come from.

    Parameters
    ----------
    versions : mapping of str to int
        Version of every table that was read.
    **more
        Further facts, as plain JSON values.

    Examples
    --------
    >>> sorted(made_from({"demand_features": 3}, settings={"seed": 0}))
    ['made_with', 'read', 'settings']
    """
    return {READ: dict(versions), WITH: environment(), **more}


def versions_in(provenance: Mapping[str, Any]) -> dict[str, int]:
    """Read the versions out of a commit's provenance.

    Examples
    --------
    >>> versions_in({"read": {"dim_stores": 4, "raw_shoppers": None}})
    {'dim_stores': 4}
    """
    read = provenance.get(READ, {})
    return {table: int(one) for table, one in read.items() if one is not None}


@cache
def environment() -> dict[str, str]:
    """Name the machine, Python and the libraries that compute."""
    found = {"machine": platform.machine(), "python": platform.python_version()}
    for name in COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
