"""Starting and stopping experiments from Dagster's UI, with the same orders as the command line.

Jobs of one op and no assets: they decide, and make no table of a region and week. See
https://docs.dagster.io/guides/build/ops.
"""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from pydantic import Field

from forecast_platform.partitions import parse_region
from forecast_platform.resources.experiments.book import Experiment
from forecast_platform.resources.experiments.control import Start, start, stop
from forecast_platform.resources.experiments.promoting import stop_and_promote
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.registry import Registry
from forecast_platform.schemas.experiments import METRICS, Design

MAX_RUN_SECONDS: Final = 15 * 60


class StartConfig(dg.Config):
    """What is compared."""

    region: str = Field(description="Sales region.")
    name: str = Field(description="Name of the experiment; it decides which stores are A and B.")
    a: str = Field(default="champion", description="champion, challenger, or SEGMENT=VERSION,...")
    b: str = Field(description="As `a`.")
    segments: list[str] = Field(default_factory=list, description="All by default.")
    design: str = Field(default=Design.STORES.value, description="stores or interleaved.")
    metric: str = Field(default="mape", description=" or ".join(METRICS) + ".")
    alpha: float = Field(default=0.05, description="Share of wrong winners that is allowed.")
    min_difference: float = Field(
        default=0.005, description="Relative difference that a winner must exceed [fraction]."
    )
    who: str = Field(description="Who decides.")
    why: str = Field(description="The reason.")


class StopConfig(dg.Config):
    """Which experiment ends."""

    region: str = Field(description="Sales region.")
    name: str = Field(description="Name of the experiment.")
    promote: str = Field(
        default="", description="Arm that serves from now on: winner, A or B; none by default."
    )
    who: str = Field(description="Who decides.")
    why: str = Field(description="The reason.")


@dg.op(name="start_experiment_op", description="Start an experiment in one region.")
def start_experiment_op(
    context: dg.OpExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    config: StartConfig,
) -> dg.Output[None]:
    """Start an experiment; refuse one that collides with another."""
    if config.metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {config.metric!r}")
    order = Start(
        region=parse_region(config.region),
        name=config.name,
        a=config.a,
        b=config.b,
        segments=config.segments,
        design=Design(config.design),
        metric="mape" if config.metric == "mape" else "wape",
        alpha=config.alpha,
        min_difference=config.min_difference,
        who=config.who,
        why=config.why,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        run_id=context.run_id,
    )
    return dg.Output(None, metadata=_told(start(order, lake, registry)))


@dg.op(name="stop_experiment_op", description="Stop an experiment of one region.")
def stop_experiment_op(
    context: dg.OpExecutionContext,
    lake: Lake,
    registry: dg.ResourceParam[Registry],
    config: StopConfig,
) -> dg.Output[None]:
    """Stop an experiment; its weeks stay as they were served."""
    words = {
        "who": config.who,
        "why": config.why,
        "decided_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "run_id": context.run_id,
    }
    if not config.promote:
        return dg.Output(None, metadata=_told(stop(config.region, config.name, lake, **words)))
    stopped, changed = stop_and_promote(
        config.region, config.name, lake, registry, promote=config.promote, **words
    )
    promoted = {"promoted": dg.MetadataValue.json(changed)}
    return dg.Output(None, metadata={**_told(stopped), **promoted})


def _told(experiment: Experiment) -> dict[str, str]:
    return {
        "state": experiment.state.value,
        "first_week": f"{experiment.first_week:%Y-%m-%d}",
        "a": experiment.a.label,
        "b": experiment.b.label,
        "segments": ", ".join(experiment.segments),
        "winner": experiment.winner or "",
    }


@dg.job(
    name="start_experiment",
    description="Start an experiment: two models serve a region, and are compared.",
    tags={"dagster/max_runtime": str(MAX_RUN_SECONDS)},
)
def start_experiment() -> None:
    """Run the one op."""
    start_experiment_op()


@dg.job(
    name="stop_experiment",
    description="Stop an experiment: the champion serves the region alone again.",
    tags={"dagster/max_runtime": str(MAX_RUN_SECONDS)},
)
def stop_experiment() -> None:
    """Run the one op."""
    stop_experiment_op()


experiment_jobs: Final = (start_experiment, stop_experiment)
