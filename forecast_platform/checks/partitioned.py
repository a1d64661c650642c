"""The one way in which checks of region-weeks are made.

``@asset_check(partitions_def=...)`` is marked preview in Dagster 1.13: it is used here and in
`forecast_platform.checks.schema` only. A check is a pure function of the rows of one
region-week that says what is wrong; reading, looping and reporting happen here.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from forecast_platform.partitions import RegionWeek, region_weeks, region_weeks_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.reporting import FAILED_KEYS, tell_each

Tables = Mapping[str, pd.DataFrame]
Judge = Callable[[Tables], list[str]]
"""Takes the rows of one region-week of each table; returns what is wrong, in words."""

AssetCheck = tuple[str, str]
"""Table and name of a check."""

JudgeAll = Callable[[Lake, Landing, Sequence[RegionWeek]], Iterable[tuple[AssetCheck, str, str]]]
"""Reads what it needs of a range at once; names each check that did not pass, its region-week and
what is wrong."""

MAX_SHOWN = 50


class Mild(str):
    """A problem that only warns, in a check whose other problems fail."""

    __slots__ = ()


def region_week_check(
    asset: dg.AssetsDefinition,
    *,
    reads: Mapping[str, Sequence[str]],
    blocking: bool = False,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> Callable[[Judge], dg.AssetChecksDefinition]:
    """Make a judge of one region-week into a check of all that a run has made.

    Parameters
    ----------
    asset : dagster.AssetsDefinition
        The asset that is held to the check.
    reads : Mapping[str, Sequence[str]]
        Tables to read and their columns.
    blocking : bool, default=False
        Whether a failure stops what is downstream.
    severity : dagster.AssetCheckSeverity, default=ERROR
    """

    def build(judge: Judge) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            asset=asset,
            name=getattr(judge, "__name__", "check"),
            description=inspect.getdoc(judge),
            blocking=blocking,
            partitions_def=region_weeks,
        )
        def check(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
            keys = region_weeks_of(context)
            tables = {name: _read(lake, name, columns, keys) for name, columns in reads.items()}
            problems = [
                (key.key, problem)
                for key in keys
                for problem in judge({name: _rows(table, key) for name, table in tables.items()})
            ]
            return _told(context, context.check_specs[0].key, problems, keys, severity)

        return check

    return build


def region_week_checks(
    descriptions: Mapping[AssetCheck, str],
    *,
    severities: Mapping[AssetCheck, dg.AssetCheckSeverity],
    blocking: bool = False,
) -> Callable[[JudgeAll], dg.AssetChecksDefinition]:
    """Make one judge of many tables into a check of each, all made in one step.

    A step costs a third of a second, which a check for every source and statistic would multiply.

    Parameters
    ----------
    descriptions : mapping
        What each check means.
    severities : mapping
        How bad a failure of each is.
    blocking : bool, default=False
        Whether a failure stops what is downstream.
    """

    def build(judge: JudgeAll) -> dg.AssetChecksDefinition:
        @dg.multi_asset_check(
            name=getattr(judge, "__name__", "checks"),
            description=inspect.getdoc(judge),
            specs=[
                dg.AssetCheckSpec(
                    name,
                    asset=table,
                    description=text,
                    blocking=blocking,
                    partitions_def=region_weeks,
                )
                for (table, name), text in descriptions.items()
            ],
            can_subset=True,
        )
        def check(
            context: dg.AssetCheckExecutionContext, lake: Lake, landing: Landing
        ) -> Iterator[dg.AssetCheckResult]:
            keys = region_weeks_of(context)
            found: dict[AssetCheck, list[tuple[str, str]]] = {}
            for one, key, problem in judge(lake, landing, keys):
                found.setdefault(one, []).append((key, problem))
            for asked in sorted(context.selected_asset_check_keys):
                one = (asked.asset_key.to_user_string(), asked.name)
                result = _told(context, asked, found.get(one, []), keys, severities[one])
                yield result._replace(asset_key=asked.asset_key, check_name=asked.name)

        return check

    return build


def _read(
    lake: Lake, table: str, columns: Sequence[str], keys: Sequence[RegionWeek]
) -> pd.DataFrame:
    return lake.read(
        table,
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
        columns=["region", "week", *columns],
    )


def _rows(table: pd.DataFrame, key: RegionWeek) -> pd.DataFrame:
    return table[(table["region"] == key.region) & (table["week"] == key.week)]


def _told(
    context: dg.AssetCheckExecutionContext,
    check: dg.AssetCheckKey,
    problems: Sequence[tuple[str, str]],
    keys: Sequence[RegionWeek],
    severity: dg.AssetCheckSeverity,
) -> dg.AssetCheckResult:
    """Tell each region-week its verdict, and return the one on all of them."""
    by_key: dict[str, list[str]] = {}
    for key, problem in problems:
        by_key.setdefault(key, []).append(problem)
    if problems and all(isinstance(problem, Mild) for _, problem in problems):
        severity = dg.AssetCheckSeverity.WARN
    metadata: dict[str, Any] = {
        "n_region_weeks": len(keys),
        "n_failed": len(by_key),
    }
    if problems:
        metadata[FAILED_KEYS] = dg.MetadataValue.json(sorted(by_key))
        shown = pd.DataFrame(problems[:MAX_SHOWN], columns=["region-week", "problem"])
        metadata["problems"] = dg.MetadataValue.md(shown.to_markdown(index=False))
    tell_each(
        context, check, keys, {key: "; ".join(all_) for key, all_ in by_key.items()}, severity
    )
    is_one = len(keys) == 1  # then Dagster shows which
    said = [problem if is_one else f"{key}: {problem}" for key, problem in problems]
    return dg.AssetCheckResult(
        passed=not problems,
        severity=severity,
        metadata=metadata,
        description="; ".join(said[:3]) or None,
    )
