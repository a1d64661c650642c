"""Scores by segment, format and all."""

import pandas as pd
import pytest

from forecast_platform.forecasting.evaluation.scores import score_by_segment

HOLDOUT = pd.DataFrame(
    {
        "segment": ["large_fast", "large_slow", "small_fast"],
        "format": ["large", "large", "small"],
        "velocity": ["fast", "slow", "fast"],
        "y": [10.0, 10.0, 10.0],
        "ensemble": [11.0, 12.0, 14.0],
        "lasso": 10.0,
        "embedding_net": 10.0,
        "historical_average": 20.0,
    }
)


def test_groups_are_segments_formats_and_all():
    scores = score_by_segment(HOLDOUT)

    ensemble = scores[scores["model"] == "ensemble"].set_index("segment")["mape"]
    assert ensemble.to_dict() == pytest.approx(
        {
            "large_fast": 0.1,
            "large_slow": 0.2,
            "small_fast": 0.4,
            "large": 0.15,
            "small": 0.4,
            "all": 0.7 / 3,
        }
    )


def test_format_and_velocity_are_named_where_the_group_has_one():
    scores = score_by_segment(HOLDOUT).drop_duplicates("segment").set_index("segment")

    assert scores.loc["large_slow", ["format", "velocity"]].tolist() == ["large", "slow"]
    assert scores.loc["large", "format"] == "large"
    assert scores.loc["large", "velocity"] is None or pd.isna(scores.loc["large", "velocity"])
    assert pd.isna(scores.loc["all", "format"])


def test_nothing_held_out_gives_no_scores():
    assert score_by_segment(HOLDOUT.head(0)).empty
