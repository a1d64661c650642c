"""Checks that models learnt from rows that belong together.

Warnings: such models are judged by the gate as all are, and the rows can be made again.
"""

import dagster as dg
import pandas as pd

from forecast_platform.assets.training import trained_ensembles
from forecast_platform.checks.partitioned import Tables, region_week_check
from forecast_platform.vocabulary import REGION, WEEK

OTHERS = "n_weeks_of_other_code"


@region_week_check(
    trained_ensembles, reads={"trained_ensembles": [OTHERS]}, severity=dg.AssetCheckSeverity.WARN
)
def learnt_from_features_of_one_code(tables: Tables) -> list[str]:
    """Require that the code of now made the features of all weeks that were learnt from.

    Where the code of features has changed, `retraining_sensor` has the weeks made again and then
    trains; where it is switched off, a person does.
    """
    rows = tables["trained_ensembles"]
    n_weeks = rows[OTHERS].max()
    if pd.isna(n_weeks) or not n_weeks:
        return []
    newest = f"{rows[WEEK].iloc[0]:%Y-%m-%d}"
    told = (
        f"features of {n_weeks} weeks were made by other code than those of {newest}; make the "
        f"window again, then train: forecast-platform run --region {rows[REGION].iloc[0]} "
        f"--weeks FROM..{newest} --select features"
    )
    return [told]


learning_checks = [learnt_from_features_of_one_code]
