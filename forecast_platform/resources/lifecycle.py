"""How models come to serve and cease to: the deployment's rules, as one resource.

What a rule means is in `forecast_platform.forecasting.evaluation`; the values are settings.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from forecast_platform.forecasting.evaluation.guard_rails import FailoverRule
from forecast_platform.forecasting.evaluation.promotion import PromotionRule
from forecast_platform.settings import Settings

Mode = Literal["auto", "manual"]


class Lifecycle(BaseModel):
    """Rules of promotion and failover.

    Parameters
    ----------
    rule : PromotionRule
        What a challenger must pass.
    mode : {"auto", "manual"}, default="auto"
        Whether a challenger that passes serves at once, or waits for a person.
    failover : FailoverRule
        When a model may not serve.
    """

    model_config = ConfigDict(frozen=True)

    rule: PromotionRule = Field(default_factory=PromotionRule)
    mode: Mode = "auto"
    failover: FailoverRule = Field(default_factory=FailoverRule)


def build_lifecycle(settings: Settings) -> Lifecycle:
    """Take the rules from a deployment's settings."""
    return Lifecycle(
        rule=settings.promotion, mode=settings.promotion_mode, failover=settings.failover
    )
