"""The job by which a person approves, rejects or rolls back models in the UI.

What a decision does is in `forecast_platform.resources.approvals`; the command line calls the same.
See https://docs.dagster.io/guides/operate/configuration/run-configuration.
"""

from datetime import UTC, datetime
from enum import Enum

import dagster as dg
from pydantic import Field

from forecast_platform.errors import DecisionRefused
from forecast_platform.resources.approvals import VERBS, Order, decide
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Registry


class Verb(Enum):
    """What can be done."""

    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"


class DecisionConfig(dg.Config):
    """One decision, as it is typed in the Launchpad."""

    verb: Verb = Field(description="approve, reject or rollback.")
    region: str = Field(description="Region, such as north_texas.")
    segments: list[str] = Field(
        default_factory=list, description="Such as large_fast; empty means all that it can be."
    )
    version: int | None = Field(
        default=None, description="To approve a version of one segment that does not wait."
    )
    who: str = Field(description="Who decides; kept in promotion_log.")
    why: str = Field(description="The reason; kept in promotion_log.")


@dg.op(
    name="decide_on_model",
    description="Approve or reject challengers that wait, or put former champions back.",
)
def decide_on_model(
    context: dg.OpExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    config: DecisionConfig,
) -> dg.Output[None]:
    """Carry one decision out; the next forecasts follow it."""
    order = Order(
        verdict=VERBS[config.verb.value],
        region=config.region,
        segments=config.segments,
        version=config.version,
        who=config.who,
        why=config.why,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        run_id=context.run_id,
    )
    try:
        done = decide(order, lake, registry)
    except DecisionRefused as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    shown = done[["model_name", "week", "verdict", "champion_version", "reason"]]
    return dg.Output(
        None, metadata={"decided": dg.MetadataValue.md(shown.to_markdown(index=False))}
    )


@dg.job(
    name="decide_on_models",
    description="A person's word on models: approve, reject, roll back; with who and why.",
)
def decide_on_models() -> None:
    """Run the one op."""
    decide_on_model()
