"""Contract of `alert_log`: every trouble that was seen, and every message about it.

Who is told what is configuration, read in `forecast_platform.resources.alerts.config`.
"""

from enum import StrEnum
from typing import Final

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series


class Kind(StrEnum):
    """What an alert is about; names are stable, since configuration uses them."""

    RUN_FAILED = "run_failed"
    CHECK_FAILED = "check_failed"
    FAILOVER = "failover"
    STALE_MODEL = "stale_model"
    DEGRADATION = "degradation"
    DRIFT = "drift"
    MISSED_WEEK = "missed_week"
    PROMOTION_PENDING = "promotion_pending"
    EXPERIMENT = "experiment"
    ALERTING = "alerting"
    """Alerts themselves: something could not be looked at."""

    TEST = "test"


class Severity(StrEnum):
    """How bad it is, from the least."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Position from the least.

        >>> Severity.ERROR.rank > Severity.WARNING.rank
        True
        """
        return list(Severity).index(self)


class Event(StrEnum):
    """What a row of the log tells."""

    RAISED = "raised"
    """A trouble was seen; with sinks there is a message about it, without it was folded."""

    REMINDED = "reminded"
    """A message about what was folded since the last one."""

    RECOVERED = "recovered"
    """The trouble is over."""

    SENT = "sent"
    FAILED = "failed"
    """A message could not be handed over; it is tried again."""

    GAVE_UP = "gave_up"


ABOUT_TROUBLES: Final = (Event.RAISED, Event.REMINDED, Event.RECOVERED)
EVERYWHERE: Final = "all"
"""Region of what concerns no single one."""


class AlertLog(pa.DataFrameModel):
    """Troubles and messages, in the order in which they happened. Rows are only added."""

    region: Series[str] = pa.Field(description="Sales region, or `all`")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the week in which it was noted")
    at: Series[str] = pa.Field(
        str_matches=r"^\d{4}-\d{2}-\d{2}T[0-9:.]+\+00:00$", description="When, ISO 8601, UTC"
    )
    position: Series[int] = pa.Field(ge=0, description="Order of rows of the same time")
    event: Series[str] = pa.Field(
        isin=[str(one) for one in Event], description="What the row tells"
    )
    fingerprint: Series[str] = pa.Field(description="Names the trouble: the same one is folded")
    occurrence: Series[str] = pa.Field(
        description="Names what happened: seen again, it is not counted again"
    )
    kind: Series[str] = pa.Field(isin=[str(one) for one in Kind], description="What it is about")
    severity: Series[str] = pa.Field(
        isin=[str(one) for one in Severity], description="How bad it is"
    )
    partition: Series[str] = pa.Field(nullable=True, description="`<region>|<week>`, or a range")
    title: Series[str] = pa.Field(description="What happened, in a line")
    happened: Series[str] = pa.Field(description="What happened, with numbers")
    done: Series[str] = pa.Field(description="What was done automatically")
    todo: Series[str] = pa.Field(description="What to do")
    link: Series[str] = pa.Field(description="Where to look")
    message_id: Series[str] = pa.Field(nullable=True, description="The message, if there is one")
    sinks: Series[str] = pa.Field(description="JSON list: where the message goes, or went")
    count: Series[int] = pa.Field(ge=0, description="How often the trouble was seen so far")
    since: Series[str] = pa.Field(description="When it began, as the message tells it")
    detail: Series[str] = pa.Field(nullable=True, description="Why a message was not handed over")

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True
