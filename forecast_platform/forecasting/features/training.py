"""Join features with the demand that came true, for training at a cutoff.

Which weeks a model trains on is decided here by knowledge alone; weights and folds belong to
training and backtests.
"""

import pandas as pd

from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    PRODUCT_ID,
    SEGMENT,
    UNIQUE_ID,
    VELOCITY,
    WEEK,
    Y,
)


def training_frame(
    features: pd.DataFrame, demand: pd.DataFrame, cutoff: pd.Timestamp, *, weeks: int
) -> pd.DataFrame:
    """Return the feature rows whose demand is known at ``cutoff``, with it.

    Parameters
    ----------
    features : pandas.DataFrame
        Rows of `build_features` of many cutoffs, best with those of ``cutoff`` itself.
    demand : pandas.DataFrame
        ``unique_id, ds, y`` [units].
    cutoff : pandas.Timestamp
        Monday of the last known week.
    weeks : int
        Feature rows of the ``weeks`` weeks before ``cutoff`` are taken [weeks].

    Returns
    -------
    pandas.DataFrame
        Rows with ``week`` in ``[cutoff - weeks, cutoff - 1]`` and ``ds <= cutoff``, with ``y``;
        velocity and segment are those of the product and format at the latest week up to
        ``cutoff``.

    Raises
    ------
    ValueError
        If ``weeks`` is not positive.
    """
    if weeks < 1:
        raise ValueError(f"weeks must be at least 1, got {weeks}")
    first = cutoff - pd.Timedelta(weeks=weeks)
    known = features[(features[WEEK] >= first) & (features[WEEK] <= cutoff)]
    rows = known[(known[WEEK] < cutoff) & (known[DS] <= cutoff)]
    labels = demand.loc[demand[DS] <= cutoff, [UNIQUE_ID, DS, Y]].dropna(subset=[Y])
    rows = rows.merge(labels, on=[UNIQUE_ID, DS], how="inner", validate="many_to_one")
    return _with_latest_velocity(rows, known)


def _with_latest_velocity(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    keys = [FORMAT, PRODUCT_ID]
    changes = known[[WEEK, *keys, VELOCITY]].drop_duplicates([WEEK, *keys])
    latest = changes.sort_values(WEEK).drop_duplicates(keys, keep="last")
    velocity = rows[keys].merge(latest, on=keys, how="left", validate="many_to_one")[VELOCITY]
    velocity = velocity.set_axis(rows.index)
    return rows.assign(**{VELOCITY: velocity, SEGMENT: rows[FORMAT] + "_" + velocity})
