"""Checks that say loudly when something other than the champion served, or a model was lost.

They stop nothing: the forecasts are there, and planners need them. They fail as errors, so that
they are seen, alerted and counted; recovery is automatic, and the next week's check says so.
"""

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.checks.partitioned import Tables, region_week_check
from forecast_platform.resources.failover import FAILOVER_STATE
from forecast_platform.schemas.lifecycle import ServingState
from forecast_platform.schemas.models import NOT_REGISTERED
from forecast_platform.vocabulary import SEGMENT

AS_IT_SHOULD = (ServingState.CHAMPION, ServingState.NO_CHAMPION)


@region_week_check(forecasts, reads={FAILOVER_STATE: [SEGMENT, "state", "reason", "since"]})
def champions_serve(tables: Tables) -> list[str]:
    """Every segment that has a champion is served by it, from its store.

    A segment without a champion yet is served by the historical average, which is no failover.
    """
    states = tables[FAILOVER_STATE]
    if states.empty:
        return ["nothing is recorded of who served: materialize forecasts again"]
    failed = states[~states["state"].isin(AS_IT_SHOULD)]
    return [
        f"{row.segment}: {str(row.state).replace('_', ' ')} serves since {row.since:%Y-%m-%d}: "
        f"{row.reason}"
        for row in failed.itertuples()
    ]


@region_week_check(trained_ensembles, reads={"trained_ensembles": [SEGMENT, "status", "reason"]})
def models_are_registered(tables: Tables) -> list[str]:
    """No trained model was lost because the registry could not be reached."""
    rows = tables["trained_ensembles"]
    lost = rows[rows["status"] == NOT_REGISTERED]
    return [f"{row.segment}: {row.reason}" for row in lost.itertuples()]


failover_checks = [champions_serve, models_are_registered]
