"""What started a training: a tag of Dagster's run, which the trained models keep.

When something is a reason to train again is decided in `forecast_platform.automation.retraining`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from forecast_platform.schemas.models import Trigger

TRIGGER_TAG: Final = "forecast_platform/trigger"


def trigger_tag(triggers: Iterable[Trigger]) -> dict[str, str]:
    """Write the tag of a run that these triggers ask for.

    Examples
    --------
    >>> trigger_tag([Trigger.STALE, Trigger.DATA])
    {'forecast_platform/trigger': 'data,stale'}
    """
    asked = set(triggers)
    return {TRIGGER_TAG: ",".join(one.value for one in Trigger if one in asked)}


def triggered_by(tags: Mapping[str, str]) -> str:
    """Read from a run's tags what started it; a run that does not say it was started by a person.

    Words that are no trigger, as somebody may type in the UI, do not count.

    Examples
    --------
    >>> triggered_by({"forecast_platform/trigger": "data,stale"})
    'data,stale'
    >>> triggered_by({"forecast_platform/trigger": "full moon"})
    'manual'
    """
    told = {word.strip() for word in tags.get(TRIGGER_TAG, "").split(",")}
    return ",".join(one.value for one in Trigger if one.value in told) or Trigger.MANUAL.value
