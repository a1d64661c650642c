"""Which arm of an experiment serves which series: by a stable hash, balanced.

Pure functions of names and volumes. Which models the arms are, and what they forecast, is not
known here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from forecast_platform.vocabulary import FORMAT, STORE_ID

A: Final = "A"
B: Final = "B"
ARMS: Final = (A, B)

VOLUME: Final = "volume"
"""Column with the trailing demand of a store [units]."""


def coin(salt: str, name: str) -> int:
    """Draw a number that only the salt and the name decide, below 2 to the power of 64.

    Parameters
    ----------
    salt : str
        Name of the experiment: another experiment draws anew.
    name : str
        Store or series.

    Examples
    --------
    >>> coin("autumn", "S1") == coin("autumn", "S1")
    True
    >>> coin("autumn", "S1") == coin("winter", "S1")
    False
    """
    return int.from_bytes(hashlib.sha256(f"{salt}\n{name}".encode()).digest()[:8])


def assign_stores(stores: pd.DataFrame, salt: str) -> dict[str, str]:
    """Give each store an arm: of two stores of a format that sell about as much, one each.

    Within each format the stores are put in order of their volume and taken in pairs; the hash
    says which of a pair is A. A store that is left over goes where less volume is, as seen over
    all formats.

    Parameters
    ----------
    stores : pandas.DataFrame of shape (n_stores, 3)
        ``store_id``, ``format`` and ``volume`` [units].
    salt : str
        Name of the experiment.

    Returns
    -------
    dict of str to str
        ``A`` or ``B`` by store. The order of the rows does not matter.

    Raises
    ------
    ValueError
        If a store has two rows, or a volume is missing.
    """
    if stores[STORE_ID].duplicated().any() or stores[VOLUME].isna().any():
        raise ValueError("every store needs one row, with a volume")
    arms: dict[str, str] = {}
    left_over: list[tuple[float, str]] = []
    volume_of = dict.fromkeys(ARMS, 0.0)
    order = stores.sort_values([FORMAT, VOLUME, STORE_ID], ascending=[True, False, True])
    for _, rows in order.groupby(FORMAT, sort=True):
        names, volumes = rows[STORE_ID].tolist(), rows[VOLUME].tolist()
        pairs = zip(names[0::2], names[1::2], volumes[0::2], volumes[1::2], strict=False)
        for first, second, *sold in pairs:
            pair = (A, B) if coin(salt, first) <= coin(salt, second) else (B, A)
            for name, arm, units in zip((first, second), pair, sold, strict=True):
                arms[name] = arm
                volume_of[arm] += units
        if len(names) % 2:
            left_over.append((volumes[-1], names[-1]))
    for units, name in sorted(left_over, reverse=True):
        less = min(volume_of, key=lambda arm: (volume_of[arm], coin(salt, f"{name}\n{arm}")))
        arms[name] = less
        volume_of[less] += units
    return arms


def arms_of_stores(store_ids: Iterable[str], assigned: Mapping[str, str], salt: str) -> np.ndarray:
    """Look the arm of each row's store up; a store that opened later is drawn by its hash.

    Returns
    -------
    numpy.ndarray of shape (n_rows,)
        ``A`` or ``B``.
    """
    names = pd.Series(list(store_ids), dtype="str")
    new = {name: ARMS[coin(salt, name) % 2] for name in names.unique() if name not in assigned}
    return names.map({**assigned, **new}).to_numpy(dtype=object)


def arms_of_series(unique_ids: Iterable[str], week: pd.Timestamp, salt: str) -> np.ndarray:
    """Give each series of a week an arm: half of them by their hash, changing places every week.

    Each series is served by both arms in turn, and each store by both at once.

    Returns
    -------
    numpy.ndarray of shape (n_rows,)
        ``A`` or ``B``.

    Examples
    --------
    >>> monday = pd.Timestamp("2024-03-04")
    >>> weeks = [monday + pd.Timedelta(weeks=number) for number in range(3)]
    >>> first, second, third = (arms_of_series(["S1/P1"], week, "autumn")[0] for week in weeks)
    >>> (first == third, first == second)
    (True, False)
    """
    names = pd.Series(list(unique_ids), dtype="str")
    turn = week.toordinal() // 7
    arms = {name: ARMS[(coin(salt, name) + turn) % 2] for name in names.unique()}
    return names.map(arms).to_numpy(dtype=object)


def balance(stores: pd.DataFrame, arms: Mapping[str, str]) -> pd.DataFrame:
    """Say how many stores and how much volume each arm has, by format.

    Returns
    -------
    pandas.DataFrame
        One row per format and arm: ``n_stores``, ``volume`` [units] and ``share`` of the format's
        volume [fraction].
    """
    table = stores.assign(arm=stores[STORE_ID].map(arms))
    counted = table.groupby([FORMAT, "arm"], as_index=False).agg(
        n_stores=(STORE_ID, "size"), volume=(VOLUME, "sum")
    )
    total = counted.groupby(FORMAT)[VOLUME].transform("sum")
    return counted.assign(share=counted[VOLUME] / total.where(total > 0))
