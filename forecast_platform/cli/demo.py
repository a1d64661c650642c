"""``forecast-platform demo``: the whole way in one command."""


def demo() -> None:
    """Forecast a simulated retailer."""
