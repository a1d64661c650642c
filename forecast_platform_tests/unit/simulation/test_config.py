"""What a retailer may not be."""

from datetime import date

import pytest

from forecast_platform.simulation import RetailerConfig, default_regions


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("first_week", date(2023, 1, 3), "must be a Monday, got Tuesday"),
        ("regions", (), "must be named"),
        ("regions", ("a", "a"), "each once"),
        ("regions", ("North Texas",), "is not a region name"),
        ("stores_per_region", 0, "stores_per_region must be at least 1"),
        ("n_weeks", 0, "n_weeks must be at least 1"),
        ("promotion_share", 0.9, "promotion_share must be in 0 to 0.3"),
        ("seed", -1, "seed must not be negative"),
    ],
)
def test_an_impossible_retailer_is_refused(field: str, value: object, words: str):
    with pytest.raises(ValueError, match=words):
        RetailerConfig(**{field: value})  # type: ignore[arg-type]


def test_fourteen_regions_have_names_and_more_have_numbers():
    names = default_regions(16)
    assert len(set(names)) == 16
    assert names[13:] == ("desert_southwest", "region_15", "region_16")


def test_the_smallest_retailer_is_possible():
    assert RetailerConfig(stores_per_region=1, products=1, n_weeks=1).last_week == date(2023, 1, 2)
