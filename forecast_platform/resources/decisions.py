"""What persons decided about models, read from the table `promotion_log`.

Taking a decision is in `approvals`; the rule's own verdicts are logged by the promotion asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.lifecycle import PromotionLog
from forecast_platform.schemas.models import ROLLED_BACK
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import WEEK

PROMOTION_LOG: Final = "promotion_log"
PERSON: Final = "person"


@dataclass(frozen=True)
class Decision:
    """The last word of a person about one version."""

    verdict: str
    who: str
    why: str

    @property
    def words(self) -> str:
        """The decision as a reason."""
        return f"{self.verdict.replace('_', ' ')} by {self.who}: {self.why}"


@dataclass(frozen=True)
class Decisions:
    """Decisions about the versions of one region, known at a week.

    Parameters
    ----------
    by_version : Mapping[tuple[str, int], Decision]
        By model name and version.
    """

    by_version: Mapping[tuple[str, int], Decision] = field(default_factory=dict)

    @classmethod
    def at(cls, key: RegionWeek, log: pd.DataFrame) -> Self:
        """Take the last decision about each version; a past week knows nothing of later ones."""
        own = log[(log["region"] == key.region) & (log[WEEK] <= key.week)]
        own = own.sort_values("decided_at", kind="stable")
        return cls(
            {
                (str(row.model_name), int(str(row.version))): Decision(
                    str(row.verdict), str(row.who), str(row.why)
                )
                for row in own.itertuples()
            }
        )

    def of(self, name: str, version: int) -> Decision | None:
        """Look up what was decided about one version."""
        return self.by_version.get((name, version))

    def without_withdrawn(self, promotions: pd.DataFrame) -> pd.DataFrame:
        """Leave out the weeks that a version served which was rolled back since."""
        gone = {one for one, said in self.by_version.items() if said.verdict == ROLLED_BACK}
        if not gone or promotions.empty:
            return promotions
        pairs = zip(promotions["model_name"], promotions["champion_version"], strict=True)
        keep = [pd.isna(version) or (name, int(version)) not in gone for name, version in pairs]
        return promotions[keep]


def read_decisions(lake: Lake, regions: list[str]) -> pd.DataFrame:
    """Read what persons decided, oldest first; rows of the form `PromotionLog`."""
    log = read_log(lake, regions)
    return log[log["mode"] == PERSON].dropna(subset=["version"])


def read_log(lake: Lake, regions: list[str]) -> pd.DataFrame:
    """Read the whole log of some regions, oldest first; without rows before the first verdict."""
    if not lake.exists(PROMOTION_LOG):
        empty = pd.DataFrame(columns=list(PromotionLog.to_schema().columns))
        return as_table(empty, PromotionLog)
    rows = lake.read(PROMOTION_LOG, region=regions)
    return rows.sort_values("decided_at", kind="stable", ignore_index=True)


def append_log(lake: Lake, rows: list[dict[str, Any]], *, run_id: str) -> None:
    """Add verdicts to the log."""
    if rows:
        table = PromotionLog.validate(as_table(pd.DataFrame(rows), PromotionLog))
        lake.append(PROMOTION_LOG, table, run_id=run_id)
