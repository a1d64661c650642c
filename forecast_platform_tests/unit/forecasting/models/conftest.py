import pytest

from forecast_platform_tests.oracles.backtest import a_demand, a_frame

NUMERIC = ("lag_0", "lag_1", "lag_2", "discount")
CATEGORICAL = ("store_id", "product_id", "event", "week_of_year")


@pytest.fixture(scope="session")
def rows():
    """Training rows of sixteen series over a year."""
    return a_frame(a_demand(4, 4, 56))


@pytest.fixture(scope="session")
def columns():
    """A few numeric and categorical columns."""
    return NUMERIC, CATEGORICAL
