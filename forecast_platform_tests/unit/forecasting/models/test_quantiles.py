import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.models.base import CorruptModelFiles, NotFitted
from forecast_platform.forecasting.models.conformal import (
    Corrections,
    at_levels,
    fit_corrections,
    outward_levels,
)
from forecast_platform.forecasting.models.quantiles import LEVELS, QuantileHeads
from forecast_platform.forecasting.models.ranges import Range

NUMERIC = ("noise", "loud")


def rows(n, seed=0):
    """Lognormal demand of level 50; where ``loud``, its spread is four times larger."""
    rng = np.random.default_rng(seed)
    loud = (rng.random(n) < 0.5).astype(float)
    logs = np.log1p(50.0) + np.where(loud > 0, 0.8, 0.2) * rng.normal(size=n)
    frame = pd.DataFrame({"noise": rng.normal(size=n), "loud": loud, "base_level": np.log1p(50.0)})
    frame["ds"] = pd.Timestamp("2024-01-01")
    frame["h"] = np.where(np.arange(n) % 2, 1, 2)
    frame["y"] = np.maximum(np.expm1(logs), 0.0)
    return frame


def members(frame):
    return pd.DataFrame({"one": 45.0, "other": 55.0}, index=frame.index)


@pytest.fixture(scope="module")
def heads():
    train = rows(8000)
    return QuantileHeads(NUMERIC, epochs=10).fit(train, train["y"], members(train))


def shares_below(frame, quantiles):
    return (frame["y"].to_numpy()[:, None] <= quantiles).mean(axis=0)


def test_each_level_has_its_share_of_demand_at_or_below(heads):
    test = rows(8000, seed=1)

    quantiles = np.expm1(heads.predict_log(test, members(test)))

    assert shares_below(test, quantiles) == pytest.approx(LEVELS, abs=0.03)


def test_the_range_is_wider_where_demand_is_louder(heads):
    quiet, loud = (rows(2000, seed=2).query(f"loud == {value}") for value in (0, 1))

    widths = [
        np.diff(heads.predict_log(part, members(part))[:, [2, 6]]).mean() for part in (quiet, loud)
    ]

    assert widths[0] == pytest.approx(2 * 1.2816 * 0.2, rel=0.25)
    assert widths[1] == pytest.approx(2 * 1.2816 * 0.8, rel=0.25)


def test_levels_never_cross_whatever_the_inputs(heads):
    wild = rows(500, seed=3).assign(noise=1e9, loud=-1e9, base_level=15.0)
    wild.loc[::2, ["noise", "loud"]] = np.nan

    quantiles = heads.predict_log(wild, members(wild) * 1e6)

    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_fitting_twice_is_bitwise_equal_and_leaves_the_global_random_state(heads):
    import torch

    train = rows(8000)
    before = torch.random.get_rng_state()

    again = QuantileHeads(NUMERIC, epochs=10).fit(train, train["y"], members(train))

    assert (
        again.predict_log(train, members(train)) == heads.predict_log(train, members(train))
    ).all()
    assert (torch.random.get_rng_state() == before).all()


def test_a_handful_of_equal_rows_is_enough_to_fit():
    few = rows(3).assign(y=0.0)

    quantiles = (
        QuantileHeads(NUMERIC)
        .fit(few, few["y"], members(few) * 0)
        .predict_log(few, members(few) * 0)
    )

    assert np.isfinite(quantiles).all()


@pytest.mark.parametrize(
    "levels", [(0.1, 0.9), (0.9, 0.5, 0.1), (0.0, 0.1, 0.5, 0.9), (0.1, 0.5, 0.5, 0.9)]
)
def test_levels_that_make_no_range_are_refused(levels):
    train = rows(10)

    with pytest.raises(ValueError, match="levels must rise"):
        QuantileHeads(NUMERIC, levels=levels).fit(train, train["y"], members(train))


def test_heads_that_are_not_fitted_say_so():
    with pytest.raises(NotFitted, match="QuantileHeads"):
        QuantileHeads(NUMERIC).predict_log(rows(2), members(rows(2)))


def too_narrow(n, seed=0):
    """Return demand and quantiles of a model that takes the spread for a third of what it is."""
    from statistics import NormalDist

    rng = np.random.default_rng(seed)
    spread = rng.choice([0.1, 0.5], n)
    logs = 4.0 + spread * rng.normal(size=n)
    points = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    return np.expm1(logs), 4.0 + spread[:, None] / 3 * points


def test_corrections_restore_every_level_on_new_rows():
    y, quantiles = too_narrow(20_000)
    segment, h = np.repeat("large_fast", len(y)), np.ones(len(y))

    corrections = fit_corrections(y, quantiles, LEVELS, segments=segment, hs=h)["large_fast"]

    new, raw = too_narrow(20_000, seed=1)
    corrected = corrections.apply(raw, np.ones(len(new)))
    assert (np.log1p(new)[:, None] <= raw).mean(axis=0)[2] > 0.3
    assert (np.log1p(new)[:, None] <= corrected).mean(axis=0) == pytest.approx(LEVELS, abs=0.02)


def test_a_row_that_is_known_to_be_hard_moves_more_than_an_easy_one():
    y, quantiles = too_narrow(20_000)
    corrections = fit_corrections(
        y, quantiles, LEVELS, segments=np.repeat("s", len(y)), hs=np.ones(len(y))
    )["s"]

    easy, hard = too_narrow(1)[1] * 0 + 4.0 + np.array([[0.1], [0.5]]) * np.linspace(-1, 1, 9)
    moved = corrections.apply(np.stack([easy, hard]), [1, 1]) - np.stack([easy, hard])

    assert moved[1, -1] == pytest.approx(5 * moved[0, -1])


def test_a_segment_with_few_rows_leans_on_all_and_one_with_many_on_itself():
    y, quantiles = too_narrow(10_000)
    segments = np.where(np.arange(len(y)) < 5, "few", "many")
    y = np.where(segments == "few", y * 20, y)

    found = fit_corrections(y, quantiles, LEVELS, segments=segments, hs=np.ones(len(y)))

    few, many, overall = (found[name].shifts[-1] for name in ("few", "many", ""))
    own = fit_corrections(
        y[:5], quantiles[:5], LEVELS, segments=segments[:5], hs=np.ones(5), prior_rows=0.0
    )["few"].shifts[-1]
    assert np.abs(few - overall).max() < 0.05 * np.abs(own - overall).max()
    assert many == pytest.approx(overall, abs=0.05)


def test_without_held_out_rows_nothing_is_corrected():
    found = fit_corrections([], np.empty((0, 9)), LEVELS, segments=[], hs=[])
    _, quantiles = too_narrow(5)

    assert (found[""].apply(quantiles, np.ones(5)) == quantiles).all()


def test_a_week_ahead_that_was_not_held_out_uses_the_segments_own_corrections():
    y, quantiles = too_narrow(2000)
    found = fit_corrections(
        y, quantiles, LEVELS, segments=np.repeat("s", len(y)), hs=np.arange(len(y)) % 2 + 1
    )["s"]

    assert found.horizons == (1, 2)
    assert (
        found.apply(quantiles[:1], [9])
        == Corrections(LEVELS, (), found.shifts[-1:]).apply(quantiles[:1], [1])
    ).all()


def test_levels_between_are_those_of_a_normal_and_levels_outside_are_refused():
    _, quantiles = too_narrow(3)

    found = at_levels(quantiles, LEVELS, (0.1, 0.3, 0.8))

    assert found[:, 0] == pytest.approx(quantiles[:, 2])
    assert found[:, 2] - 4.0 == pytest.approx((quantiles[:, 6] - 4.0) * 0.8416 / 1.2816, rel=1e-3)
    assert (np.diff(found, axis=1) > 0).all()
    with pytest.raises(ValueError, match=r"within 0.01 and 0.99, got \[0.995\]"):
        at_levels(quantiles, LEVELS, (0.995,))


def test_a_range_read_back_forecasts_the_same_to_the_last_bit(heads):
    test = rows(50, seed=4)
    made = Range(heads, Corrections(LEVELS, (1,), np.full((2, 9), 0.1)))
    values, arrays = made.to_state()

    read = Range.from_state(values, arrays, "")

    asked = (0.1, 0.5, 0.9)
    assert (
        read.predict(test, members(test), asked) == made.predict(test, members(test), asked)
    ).all()


def test_a_damaged_range_is_refused(heads):
    values, arrays = Range(heads, Corrections.none(LEVELS)).to_state()

    with pytest.raises(CorruptModelFiles, match="shape"):
        Range.from_state(values, arrays | {"heads/first.bias": np.zeros(3, np.float32)}, "")
    with pytest.raises(CorruptModelFiles, match="other levels"):
        Range.from_state(
            values | {"corrections": {"levels": [*LEVELS[:-1], 0.995], "horizons": []}}, arrays, ""
        )
    with pytest.raises(CorruptModelFiles, match="gaps"):
        Range.from_state(values, arrays | {"heads/start": -np.ones(9)}, "")


def test_weeks_that_differ_push_levels_outward_and_weeks_that_do_not_leave_them():
    rng = np.random.default_rng(0)
    week = np.repeat(np.arange(12), 300)
    own = rng.normal(size=len(week))[:, None].repeat(len(LEVELS), axis=1)
    shared = own + rng.normal(0, 1.5, 12)[week][:, None]

    alike, unlike = (
        outward_levels(scores, np.ones(len(week)), week, LEVELS) for scores in (own, shared)
    )

    assert alike == pytest.approx(LEVELS, abs=0.01)
    assert unlike[2] < 0.095
    assert unlike[6] > 0.905
    assert unlike[4] == 0.5


def test_newer_weeks_count_more():
    y, quantiles = too_narrow(8000)
    week = np.arange(len(y)) % 20
    y = np.where(week >= 15, y * 1.5, y)

    def middle(weeks):
        found = fit_corrections(
            y, quantiles, LEVELS, segments=np.repeat("s", len(y)), hs=np.ones(len(y)), weeks=weeks
        )
        return found["s"].shifts[-1, 4]

    assert middle(week) > middle(None)
