"""Checks that the models that serve are not stale.

`FreshnessPolicy` on `trained_ensembles` looks at the latest materialization of any region; this
check looks at what made each region's forecasts, and its verdict counts.
"""

from datetime import timedelta

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.checks.partitioned import Mild, Tables, region_week_check
from forecast_platform.schemas.models import AGEING_AFTER, STALE_AFTER
from forecast_platform.vocabulary import CUTOFF, SEGMENT, WEEK


@region_week_check(forecasts, reads={"forecasts": [SEGMENT, CUTOFF]})
def models_are_fresh(tables: Tables) -> list[str]:
    """No forecast comes from a model whose cutoff is more than 60 days before its week.

    Warns from 45 days on. Does not stop what is downstream: a stale forecast is better than none,
    and it says its age.
    """
    rows = tables["forecasts"]
    ages = (rows[WEEK] - rows[CUTOFF]).groupby(rows[SEGMENT]).max()
    return [_told(str(segment), age) for segment, age in ages.items() if age >= AGEING_AFTER]


def _told(segment: str, age: timedelta) -> str:
    text = f"{segment}: the model is {age.days} days old"
    return text if age > STALE_AFTER else Mild(f"{text}, and stale above {STALE_AFTER.days}")


freshness_checks = [models_are_fresh]
