"""Contracts of the tables on the life of models: decisions about them, and who had to stand in.

Which model serves is in `schemas.models`; what was forecast, in `schemas.forecasts`.
"""

from enum import StrEnum

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.schemas.models import VERDICTS


class ServingState(StrEnum):
    """Who serves a segment, from best to last resort."""

    CHAMPION = "champion"
    LOCAL_COPY = "local_copy"
    """The champion, from the verified copy: its store did not answer."""

    PREVIOUS_CHAMPION = "previous_champion"
    CARRIED_FORWARD = "carried_forward"
    HISTORICAL_AVERAGE = "historical_average"
    NO_CHAMPION = "no_champion"
    """The historical average, because no model has passed the gate yet: nothing failed."""


class PromotionLog(pa.DataFrameModel):
    """Every verdict on an ensemble, of the rule and of persons, with its numbers; only added to."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday from which the verdict holds")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    model_name: Series[str] = pa.Field(
        str_startswith="demand-", description="Name in the model registry"
    )
    verdict: Series[str] = pa.Field(isin=VERDICTS, description="What was decided")
    mode: Series[str] = pa.Field(
        isin=("auto", "manual", "person"), description="How promotion was set, or that one decided"
    )
    version: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version that was judged; none if none was trained"
    )
    champion_before: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version that served before"
    )
    champion_after: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, coerce=True, description="Version that serves from then on"
    )
    who: Series[str] = pa.Field(description="Person, or `rule`")
    why: Series[str] = pa.Field(description="The reason, with the numbers that decided")
    numbers_json: Series[str] = pa.Field(
        description="JSON list: condition, value, limit, passed; of every condition of the rule"
    )
    decided_at: Series[str] = pa.Field(
        str_matches=r"^\d{4}-\d{2}-\d{2}T[0-9:.]+\+00:00$",
        description="When a person decided, or the run began that judged, ISO 8601, UTC",
    )
    run_id: Series[str] = pa.Field(description="Dagster run, or the command")

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True


class FailoverState(pa.DataFrameModel):
    """Who served each segment of a region in each week: the newest week is the current state."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday; the week that was scored")
    segment: Series[str] = pa.Field(description="`<format>_<velocity>`")
    state: Series[str] = pa.Field(isin=list(ServingState), description="Who served")
    reason: Series[str] = pa.Field(
        nullable=True, description="Why not the champion, or why from its local copy"
    )
    since: Series[pd.Timestamp] = pa.Field(
        description="Monday of the first week that has been in this state without a break"
    )
    state_before: Series[str] = pa.Field(
        isin=list(ServingState), nullable=True, description="State of the week scored before"
    )
    n_rows: Series[int] = pa.Field(ge=1, description="Forecasts of the segment")
    run_id: Series[str] = pa.Field(description="Dagster run that scored")

    class Config(pa.DataFrameModel.Config):
        """Column set and key."""

        strict = True
        unique = ["region", "week", "segment"]

    @pa.dataframe_check(name="what_is_no_plain_champion_has_a_reason")
    def _reasoned(cls, df: pd.DataFrame) -> pd.Series:
        return (df["state"] == ServingState.CHAMPION) == df["reason"].isna()

    @pa.dataframe_check(name="a_state_began_by_its_week")
    def _began(cls, df: pd.DataFrame) -> pd.Series:
        return df["since"] <= df["week"]
