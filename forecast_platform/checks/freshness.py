"""Checks that the models that serve are not stale.

`FreshnessPolicy` on `trained_ensembles` looks at the latest materialization of any region; this
check looks at what made each region's forecasts, and its verdict counts.
"""

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.checks.partitioned import Tables, region_week_check
from forecast_platform.schemas.models import STALE_AFTER
from forecast_platform.vocabulary import CUTOFF, SEGMENT, WEEK


@region_week_check(forecasts, reads={"forecasts": [SEGMENT, CUTOFF]})
def models_are_fresh(tables: Tables) -> list[str]:
    """No forecast comes from a model whose cutoff is more than 60 days before its week.

    Does not stop what is downstream: a stale forecast is better than none, and it says its age.
    """
    rows = tables["forecasts"]
    ages = (rows[WEEK] - rows[CUTOFF]).groupby(rows[SEGMENT]).max()
    return [
        f"{segment}: the model is {age.days} days old"
        for segment, age in ages.items()
        if age > STALE_AFTER
    ]


freshness_checks = [models_are_fresh]
