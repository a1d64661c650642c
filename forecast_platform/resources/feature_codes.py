"""Which code made the features of each week, read from the log of their table.

Rows are as good as the code that made them: models that learn from rows of two codes learn from
what nobody will feed them. Making weeks again is asked for in
`forecast_platform.automation.retraining`.
"""

from collections.abc import Collection
from typing import Final

import pandas as pd

from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_keys import weeks_in

FEATURES: Final = "demand_features"
CODE_DIGEST: Final = "code_digest"
"""Where a commit's provenance has the digest."""

Codes = dict[pd.Timestamp, str | None]
"""By week, digest of the code; None of rows from before there were digests."""


class FeatureCodes:
    """Looks up which code made features; the log is read once."""

    def __init__(self, lake: Lake) -> None:
        self._commits = lake.history(FEATURES) if lake.exists(FEATURES) else []

    def of(self, region: str, weeks: Collection[pd.Timestamp], version: int | None = None) -> Codes:
        """Say which code made the features of some weeks of a region.

        Parameters
        ----------
        region : str
        weeks : collection of pandas.Timestamp
        version : int, optional
            Version of the table; the latest by default.
        """
        wanted = set(weeks)
        found: Codes = {}
        for commit in self._commits:  # the latest first
            if version is not None and commit["version"] > version:
                continue
            for week in wanted.intersection(weeks_in(commit["region_weeks"].get(region, ()))):
                found[week] = commit["provenance"].get(CODE_DIGEST)
                wanted.remove(week)
            if not wanted:
                break
        return found | dict.fromkeys(wanted)

    def others(
        self, region: str, weeks: Collection[pd.Timestamp], version: int | None = None
    ) -> list[pd.Timestamp]:
        """List the weeks whose features other code made than those of the last one, in order.

        Weeks of which it is not known are left out.
        """
        codes = self.of(region, weeks, version)
        newest = codes[max(codes)] if codes else None
        if newest is None:
            return []
        return sorted(week for week, code in codes.items() if code not in {None, newest})
