"""Where the numeric features lie in an array of one row per feature and one column per series.

Names only; what is written there belongs to the families of features.
"""

from forecast_platform.vocabulary import NUMERIC_FEATURES

N_COLUMNS = len(NUMERIC_FEATURES)


def stretch(*names: str) -> slice:
    """Return the rows of neighbouring features, in the order in which a loop writes them.

    Raises
    ------
    ValueError
        If `NUMERIC_FEATURES` does not hold these names one after the other.

    Examples
    --------
    >>> stretch("base_level", "mean_4")
    slice(0, 2, None)
    """
    first = NUMERIC_FEATURES.index(names[0])
    if NUMERIC_FEATURES[first : first + len(names)] != names:
        raise ValueError(f"features {', '.join(names)} are not neighbours: a loop writes them so")
    return slice(first, first + len(names))
