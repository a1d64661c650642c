"""``forecast-platform status``: where every region stands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from forecast_platform.cli.arguments import choose_regions, names
from forecast_platform.cli.console import compact_table, err, out, plain_errors

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from forecast_platform.resources.lake import Lake


@dataclass(frozen=True)
class RegionStatus:
    """Where one region stands."""

    region: str
    conditioned: "pd.Timestamp | None" = None
    """Last week whose data went through the marts."""

    trained: "pd.Timestamp | None" = None
    promoted: int = 0
    ensembles: int = 0
    forecast: "pd.Timestamp | None" = None
    rows: int = 0
    failed_over: int = 0
    stale: int = 0
    """Forecast rows whose model was trained more than 60 days before."""

    unhealthy: str = ""
    """What `model_health` says of the last week, where it is not well."""

    failed: tuple[str, ...] = ()
    """Region-weeks whose last try failed."""


def status(
    *,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", "--regions", help="One, several (a,b or repeated) or all."),
    ] = None,
) -> None:
    """Say where every region stands: data, models, forecasts, failures.

    [bold]data[/], [bold]trained[/] and [bold]forecast[/] are the last week of each stage;
    [bold]models[/] counts the ensembles that serve, of those that there could be;
    [bold]failover[/] the forecasts of the last week that the historical average had to serve;
    [bold]stale[/] those by a model trained more than 60 days before; [bold]failed[/] the
    region-weeks whose last try failed. Delivered files that no source reads are named, and segments
    whose models grow old, lost skill or see drift (`model_health`).
    """
    from forecast_platform.cli.sources import open_landing, tell_unmatched
    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with plain_errors(), open_instance(settings) as instance:
        wanted = choose_regions(names(region), registered_regions(instance))
        lake = open_lake(settings)
        failed = _failures(instance)
        found = [_look(lake, name, failed.get(name, ())) for name in wanted]
        unmatched = open_landing().unmatched()
    _print(found)
    tell_unmatched(unmatched)


def _look(lake: "Lake", region: str, failed: tuple[str, ...]) -> RegionStatus:
    forecasts, trained = _last(lake, "forecasts", region), _last(lake, "trained_ensembles", region)
    promotion = _last(lake, "promotion", region)
    serving = _ensembles(promotion)
    return RegionStatus(
        region=region,
        conditioned=_last_week(lake, "fct_weekly_demand", region),
        trained=None if trained is None else trained["week"].max(),
        promoted=0 if serving is None else int(serving["champion_version"].notna().sum()),
        ensembles=0 if serving is None else len(serving),
        forecast=None if forecasts is None else forecasts["week"].max(),
        rows=0 if forecasts is None else len(forecasts),
        failed_over=0 if forecasts is None else _n_failed_over(forecasts),
        stale=0 if forecasts is None else _n_stale(forecasts),
        unhealthy=_unhealthy(_last(lake, "model_health", region)),
        failed=failed,
    )


def _unhealthy(health: "pd.DataFrame | None") -> str:
    """Name the segments whose models are not well, by what is wrong."""
    if health is None:
        return ""
    found = {
        "ageing": health.loc[health["status"] == "ageing", "segment"],
        "stale": health.loc[health["status"] == "stale", "segment"],
        "without forecast": health.loc[health["status"] == "no_forecast", "segment"],
        "degraded": health.loc[health["is_degraded"], "segment"],
    }
    told = [f"{what}: {', '.join(segments)}" for what, segments in found.items() if len(segments)]
    if health["is_drifted"].any():
        told.append("drifted (see model_drift)")
    return "; ".join(told)


def _n_failed_over(forecasts: "pd.DataFrame") -> int:
    from forecast_platform.schemas.forecasts import AS_WANTED

    return int((~forecasts["served_by"].isin(AS_WANTED)).sum())


def _n_stale(forecasts: "pd.DataFrame") -> int:
    from forecast_platform.schemas.models import STALE_AFTER

    return int((forecasts["week"] - forecasts["cutoff"] > STALE_AFTER).sum())


def _ensembles(promotion: "pd.DataFrame | None") -> "pd.DataFrame | None":
    return None if promotion is None else promotion[promotion["kind"] == "ensemble"]


def _last_week(lake: "Lake", table: str, region: str) -> "pd.Timestamp | None":
    weeks = lake.weeks_of(table, region) if lake.exists(table) else []
    return weeks[-1] if weeks else None


def _last(lake: "Lake", table: str, region: str) -> "pd.DataFrame | None":
    week = _last_week(lake, table, region)
    return None if week is None else lake.read(table, region=region, weeks=[week])


def _failures(instance: "dg.DagsterInstance") -> dict[str, tuple[str, ...]]:
    """Region-weeks with an asset whose last try failed, by region."""
    from forecast_platform.launching.instance import failed_region_weeks

    return failed_region_weeks(instance)


def _print(found: list[RegionStatus]) -> None:
    names = ["region", "data", "trained", "models", "forecast"]
    table = compact_table(names, ["rows", "fail-\nover", "stale", "failed"])
    for one in found:
        table.add_row(
            one.region,
            _week(one.conditioned),
            _week(one.trained),
            f"{one.promoted} of {one.ensembles}" if one.ensembles else "-",
            _week(one.forecast),
            f"{one.rows:,}",
            _loud(one.failed_over),
            _loud(one.stale),
            _loud(len(one.failed)),
        )
    out.print(table)
    for one in found:
        if one.unhealthy:
            err.print(f"[yellow]health[/] {one.region}: {one.unhealthy}", highlight=False)
        if one.failed:
            err.print(f"[red]failed[/] {one.region}: {', '.join(one.failed)}", highlight=False)


def _week(week: "pd.Timestamp | None") -> str:
    return "-" if week is None else f"{week:%Y-%m-%d}"


def _loud(count: int) -> str:
    return f"[bold red]{count:,}[/]" if count else "0"
