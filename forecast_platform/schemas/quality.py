"""Tables on the quality of what was delivered: counts, verdicts, and rows that a person mended.

What is usual for a source is judged in `forecast_platform.quality`.
"""

from enum import StrEnum

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from forecast_platform.schemas.raw import AccountsForRows


class QualityRows(AccountsForRows):
    """What became of the rows of each source, and how fresh it is."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the delivery's week")
    source: Series[str] = pa.Field(description="Source; every one has a row, delivered or not")
    n_files: Series[int] = pa.Field(ge=0, description="Files delivered for the week")
    size_bytes: Series[int] = pa.Field(ge=0, description="Their size [bytes]")
    rows_read: Series[int] = pa.Field(ge=0, description="Rows delivered")
    rows_accepted: Series[int] = pa.Field(ge=0, description="Rows written to the raw table")
    rows_quarantined: Series[int] = pa.Field(ge=0, description="Rows in quarantine")
    rows_duplicate: Series[int] = pa.Field(ge=0, description="Exact duplicates that were dropped")
    rows_replayed: Series[int] = pa.Field(
        ge=0, description="Rows taken as a person mended them; counted above by what became of them"
    )
    rows_refused: Series[int] = pa.Field(
        ge=0, description="Rows in quarantine that break the contract: not replaced, not discarded"
    )
    refused_share: Series[float] = pa.Field(
        ge=0, le=1, description="rows_refused of rows_read [fraction]; 0 when nothing was delivered"
    )
    reasons: Series[str] = pa.Field(description="JSON object: rows in quarantine by code")
    n_stores: Series[int] = pa.Field(ge=0, description="Stores with accepted rows")
    newest_known_on: Series[pd.Timestamp] = pa.Field(
        nullable=True, description="Day on which the newest delivery up to this week was known"
    )
    days_since_delivery: Series[float] = pa.Field(
        ge=0, nullable=True, description="From then to the Sunday that closed the week [days]"
    )

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True
        unique = ["region", "week", "source"]


class QualityChecks(pa.DataFrameModel):
    """Verdicts of the checks on data, the last one of each."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the judged week")
    asset: Series[str] = pa.Field(description="Table that was judged")
    check_name: Series[str] = pa.Field(description="A sentence that is true when it passes")
    passed: Series[bool] = pa.Field(description="Whether it passed")
    severity: Series[str] = pa.Field(isin=["WARN", "ERROR"], description="How bad a failure is")
    value: Series[float] = pa.Field(
        nullable=True, description="The number that was judged, in the check's own unit"
    )
    limit: Series[float] = pa.Field(nullable=True, description="The largest value that passes")
    description: Series[str] = pa.Field(nullable=True, description="What was found, in words")
    run_id: Series[str] = pa.Field(description="Run that judged")

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True
        unique = ["region", "week", "asset", "check_name"]


class Mending(StrEnum):
    """What a person decided about a refused row."""

    REPLAY = "replay"
    """Take the mended row instead."""

    DISCARD = "discard"
    """Do without it; it stays in quarantine and counts no longer as refused."""


class ReplayedRows(pa.DataFrameModel):
    """Refused rows that a person mended or discarded: who, why, when. Rows are only added."""

    region: Series[str] = pa.Field(description="Sales region")
    week: Series[pd.Timestamp] = pa.Field(description="Monday of the delivery's week")
    source: Series[str] = pa.Field(description="Source the row was delivered for")
    row_id: Series[str] = pa.Field(description="Names the delivered row: see `row_id`")
    file: Series[str] = pa.Field(description="Delivered file, below the landing folder")
    file_sha256: Series[str] = pa.Field(description="Digest of the file that the row was read from")
    row_number: Series[int] = pa.Field(ge=1, description="Row of the file; the header is row 1")
    action: Series[str] = pa.Field(isin=list(Mending), description="`replay` or `discard`")
    row_json: Series[str] = pa.Field(
        description="JSON object: the row as it is to be read, text under contract names"
    )
    who: Series[str] = pa.Field(description="Who decided")
    why: Series[str] = pa.Field(description="The reason given")
    decided_at: Series[str] = pa.Field(
        str_matches=r"^\d{4}-\d{2}-\d{2}T[0-9:.]+\+00:00$", description="When, ISO 8601, UTC"
    )

    class Config(pa.DataFrameModel.Config):
        """No column beside those of the contract."""

        strict = True
