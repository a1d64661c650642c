import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.encoding import (
    CLIP,
    ROWS_AT_ONCE,
    Standardiser,
    Vocabulary,
)


def test_unknown_and_missing_levels_share_the_unknown_slot():
    vocabulary = Vocabulary.of(pd.DataFrame({"a": ["x", "y", None]}), ("a",))

    codes = vocabulary.codes(pd.DataFrame({"a": ["y", "new", None, "x"]}))

    assert codes[:, 0].tolist() == [2, 0, 0, 1]
    assert vocabulary.sizes == (3,)


def test_codes_do_not_depend_on_how_text_is_stored():
    rows = pd.DataFrame({"a": ["x", "z", "y", "x"]})
    vocabulary = Vocabulary.of(rows, ("a",))
    stored = [
        rows,
        rows.astype("category"),
        rows.astype(object),
        rows.astype("category").iloc[::-1],
    ]

    first, *others = [vocabulary.codes(one.sort_index())[:, 0].tolist() for one in stored]

    assert all(codes == first for codes in others)


def test_categories_that_do_not_occur_are_no_levels():
    rows = pd.DataFrame({"a": pd.Categorical(["x"], categories=["x", "ghost"])})

    assert Vocabulary.of(rows, ("a",)).levels == {"a": ("x",)}


def test_standardised_training_rows_have_mean_zero_and_unit_spread():
    values = np.random.default_rng(0).normal(5, 3, 1000)
    rows = pd.DataFrame({"a": values, "constant": 7.0})

    matrix = Standardiser.of(rows, ("a", "constant")).matrix(rows)

    assert matrix[:, 0].mean() == pytest.approx(0, abs=1e-5)
    assert matrix[:, 0].std() == pytest.approx(1, abs=1e-3)
    assert (matrix[:, 1] == 0).all()


def test_extreme_values_are_clipped_and_missing_ones_are_the_mean():
    standardiser = Standardiser.of(pd.DataFrame({"a": [0.0, 2.0]}), ("a",))

    matrix = standardiser.matrix(pd.DataFrame({"a": [1e30, -np.inf, np.nan]}), intercept=True)

    assert matrix[:, 0].tolist() == [CLIP, -CLIP, 0.0]
    assert (matrix[:, 1] == 1).all()


@pytest.mark.parametrize("n_rows", [1, ROWS_AT_ONCE, ROWS_AT_ONCE + 17])
def test_training_and_forecasting_see_the_same_numbers(n_rows):
    rng = np.random.default_rng(n_rows)
    rows = pd.DataFrame(rng.standard_cauchy((n_rows, 3)), columns=list("abc"))
    rows.loc[rng.random(n_rows) < 0.2, "b"] = np.nan
    standardiser, order = Standardiser.of(rows, tuple("abc")), rng.permutation(n_rows)

    blocks = [(part, block.copy()) for part, block in standardiser.blocks(rows)]

    forecasting = np.concatenate([block.T for _, block in blocks])
    assert [part.start for part, _ in blocks] == list(range(0, n_rows, ROWS_AT_ONCE))
    np.testing.assert_array_equal(standardiser.matrix(rows), forecasting)
    np.testing.assert_array_equal(standardiser.matrix(rows, order=order), forecasting[order])


def test_an_all_missing_column_is_harmless():
    rows = pd.DataFrame({"a": [np.nan, np.nan]})

    assert (Standardiser.of(rows, ("a",)).matrix(rows) == 0).all()


def test_a_missing_column_is_named():
    with pytest.raises(KeyError, match="price"):
        Standardiser.of(pd.DataFrame({"a": [1.0]}), ("a", "price"))


@pytest.mark.parametrize("values", [[], {"a": "x"}, {"a": [1]}, {"a": ["x", "x"]}])
def test_a_vocabulary_of_another_form_is_corrupt(values):
    with pytest.raises(CorruptModelFiles):
        Vocabulary.from_json(values)
