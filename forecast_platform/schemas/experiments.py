"""Contracts of the tables on experiments: what is compared, and what is known so far.

How arms are assigned and compared is in `forecast_platform.forecasting.experiments`.
"""

from enum import StrEnum

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series


class Design(StrEnum):
    """Which rows an arm serves."""

    STORES = "stores"
    """A/B: a store is served by one arm; of two that sell about as much, one each."""

    INTERLEAVED = "interleaved"
    """Half of the series each, changing places every week."""


class State(StrEnum):
    """Where an experiment stands."""

    RUNNING = "running"
    STOPPED = "stopped"
    REFUSED = "refused"
    """Lost against another one of the same segments that was started at the same moment."""


VERDICTS = ("A", "B", "not_yet")
METRICS = ("mape", "wape")


class Experiments(pa.DataFrameModel):
    """What happened to each experiment: started, stopped. Rows are only added; the last counts."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the first week that it serves")
    experiment: Series[str] = pa.Field(description="Its name, which is never used again")
    state: Series[str] = pa.Field(isin=[str(one) for one in State], description="What it became")
    design: Series[str] = pa.Field(
        isin=[str(one) for one in Design], description="Which rows an arm serves"
    )
    segments: Series[str] = pa.Field(description="JSON list of `<format>_<velocity>`")
    arm_a: Series[str] = pa.Field(description="JSON: whom A follows, or its version by segment")
    arm_b: Series[str] = pa.Field(description="JSON: whom B follows, or its version by segment")
    metric: Series[str] = pa.Field(isin=METRICS, description="Error that is compared")
    alpha: Series[float] = pa.Field(
        gt=0, lt=1, description="Share of wrong winners that is allowed, looked at every week"
    )
    min_difference: Series[float] = pa.Field(
        ge=0, description="Relative difference that a winner must exceed [fraction]"
    )
    last_week: Series[pd.Timestamp] = pa.Field(
        nullable=True, description="Monday of the last week that it served; none while it runs"
    )
    stores: Series[str] = pa.Field(description="JSON object: arm of each store at the start")
    winner: Series[str] = pa.Field(
        isin=VERDICTS, nullable=True, description="What the test said when it was stopped"
    )
    promoted: Series[str] = pa.Field(
        isin=["A", "B"], nullable=True, description="Arm that was promoted when it was stopped"
    )
    who: Series[str] = pa.Field(description="Who decided")
    why: Series[str] = pa.Field(description="The reason given")
    decided_at: Series[str] = pa.Field(
        str_matches=r"^\d{4}-\d{2}-\d{2}T[0-9:.]+\+00:00$", description="When, ISO 8601, UTC"
    )
    run_id: Series[str] = pa.Field(description="Dagster run, or the command")

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True


class ExperimentResults(pa.DataFrameModel):
    """What is known of each experiment at the close of a week, from weeks with actuals."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; what was known at its close")
    experiment: Series[str] = pa.Field(description="Name of the experiment")
    design: Series[str] = pa.Field(
        isin=[str(one) for one in Design], description="Which rows an arm serves"
    )
    metric: Series[str] = pa.Field(isin=METRICS, description="Error that is compared")
    n_weeks: Series[int] = pa.Field(ge=0, description="Weeks with actuals, the unit of the test")
    n_rows: Series[int] = pa.Field(ge=0, description="Rows that both arms forecast")
    n_series: Series[int] = pa.Field(ge=0, description="Series among them")
    n_unpaired: Series[int] = pa.Field(
        ge=0, description="Rows left out because an arm could not forecast them"
    )
    loss_a: Series[float] = pa.Field(
        ge=0, nullable=True, description="Error of A, over all rows of all weeks [fraction]"
    )
    loss_b: Series[float] = pa.Field(
        ge=0, nullable=True, description="Error of B, on the same rows [fraction]"
    )
    served_a: Series[float] = pa.Field(
        ge=0, nullable=True, description="Error of what A's own rows were served [fraction]"
    )
    served_b: Series[float] = pa.Field(
        ge=0, nullable=True, description="Error of what B's own rows were served [fraction]"
    )
    estimate: Series[float] = pa.Field(
        nullable=True,
        description="Mean over weeks of 2 (b - a) / (a + b); above 0 when A is better [fraction]",
    )
    lower: Series[float] = pa.Field(
        nullable=True, description="Always-valid interval, lower end; none while it is infinite"
    )
    upper: Series[float] = pa.Field(nullable=True, description="Its upper end")
    verdict: Series[str] = pa.Field(isin=VERDICTS, description="A, B or not yet")
    decided_after: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Weeks after which the verdict stood [weeks]"
    )
    note: Series[str] = pa.Field(nullable=True, description="Why an arm did not serve its rows")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "experiment"]
