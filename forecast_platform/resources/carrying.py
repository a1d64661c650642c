"""An earlier forecast carried forward, when no model can make a new one.

Which forecast it is and which rows it covers; when it is used is decided in `serving`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.forecasts import CHAMPION, PREVIOUS_CHAMPION
from forecast_platform.vocabulary import DS, MEMBERS, OTHER_MEMBERS, UNIQUE_ID, WEEK, Y_HAT, H

FORECASTS = "forecasts"
MODEL = ["model_name", "model_version", "cutoff"]
_ITSELF: Sequence[str] = (CHAMPION, PREVIOUS_CHAMPION)


@dataclass(frozen=True)
class Earlier:
    """The last good forecast of one model.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of the form `Forecasts`, all made in one week by one version.
    """

    rows: pd.DataFrame

    @property
    def week(self) -> pd.Timestamp:
        """Week at whose close it was made."""
        return pd.Timestamp(self.rows[WEEK].iloc[0])

    @property
    def cutoff(self) -> pd.Timestamp:
        """Training cutoff of its model."""
        return pd.Timestamp(self.rows["cutoff"].iloc[0])

    @property
    def columns(self) -> list[str]:
        """What is carried: forecasts of the ensemble and its members, and who made them."""
        names = list(map(str, self.rows.columns))
        kept = (*MEMBERS, OTHER_MEMBERS)
        numbers = [name for name in names if name.startswith(Y_HAT) or name in kept]
        return [*numbers, *MODEL]

    def onto(self, asked: pd.DataFrame) -> pd.DataFrame:
        """Give each row that is asked for what was forecast of its series and week.

        A week beyond the earlier horizon gets the forecast of the last week within it.

        Returns
        -------
        pandas.DataFrame
            Columns of `columns`, indexed as ``asked``; missing for a series that was not forecast.
        """
        last = self.rows.sort_values(H).drop_duplicates(UNIQUE_ID, keep="last")
        until = asked[UNIQUE_ID].map(last.set_index(UNIQUE_ID)[DS])
        wanted = pd.MultiIndex.from_arrays(
            [asked[UNIQUE_ID], asked[DS].where(asked[DS] <= until, until)]
        )
        known = self.rows.set_index([UNIQUE_ID, DS])[self.columns]
        return known.reindex(wanted).set_axis(asked.index)


def last_good(key: RegionWeek, name: str, weeks: int, tables: Snapshot) -> Earlier | None:
    """Find the newest forecast that a model of this name made itself in the weeks before.

    Parameters
    ----------
    key : RegionWeek
        The week that is to be forecast now.
    name : str
        Registered name of the model.
    weeks : int
        How far back to look [weeks].
    tables : Snapshot
    """
    if weeks < 1 or not tables.exists(FORECASTS):
        return None
    since, until = (key.week - pd.Timedelta(weeks=back) for back in (weeks, 1))
    rows = tables.read(FORECASTS, region=key.region, since=since, until=until)
    own = rows[(rows["model_name"] == name) & rows["served_by"].isin(_ITSELF)]
    if own.empty:
        return None
    return Earlier(own[own[WEEK] == own[WEEK].max()])
