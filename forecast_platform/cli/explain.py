"""``forecast-platform forecast explain``: a forecast as a sum, and why it changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from forecast_platform.cli.console import ExitCode, compact_table, err, out, plain_errors, stop
from forecast_platform.cli.trace import (
    AsJson,
    AsOf,
    ForecastIdArgument,
    find,
    open_current,
    print_json,
)

if TYPE_CHECKING:
    from forecast_platform.lineage.explain import Explanation
    from forecast_platform.lineage.forecast import Found
    from forecast_platform.resources.lake import Lake

WORDS: Final = {
    "base": "usual store and product, calm week, at this level",
    "level": "new sales moved the level",
    "trend": "recent demand against the level",
    "season": "time of the year",
    "price_promotion": "price and promotion",
    "events": "events",
    "weather": "weather",
    "store_product": "this store and product",
    "horizon": "the week is nearer",
    "other": "other features",
    "model": "another model",
    "server": "served by another model",
    "limits": "caps and limits",
}
SHOWN_FROM: Final = 0.005
"""Parts that would be printed as 0.00 are left out; the sum is printed whole."""

BAR_WIDTH: Final = 24


def explain(
    forecast_id: ForecastIdArgument, *, as_of: AsOf = None, as_json: AsJson = False
) -> None:
    """Show what made up a forecast, and why it differs from last week's of the same week.

    The parts add up to the forecast, the reasons to the difference, in units. Ids are in the column
    [bold]forecast_id[/] of an export. How parts are computed: docs/explanations.md.

    [bold]Examples[/]

    forecast-platform forecast explain 'north_texas|2024-12-30|NT00-0001/P0001|1'

    forecast-platform forecast explain 'north_texas|2024-12-30|NT00-0001/P0001|1' --json
    """
    from forecast_platform.lineage.explain import explain as take_apart

    with plain_errors():
        lake, registry = open_current()
        found, _ = find(lake, forecast_id, as_of)
        before, reason = _find_before(lake, found)
        result = take_apart(found, before, lake, registry)
    if as_json:
        print_json(result.described())
        return
    _print(result)
    if before is None:
        err.print(reason, highlight=False, soft_wrap=True, markup=False)


def _find_before(lake: "Lake", found: "Found") -> "tuple[Found | None, str]":
    """Find last week's forecast of the same week; without one, say why there is none."""
    import pandas as pd

    from forecast_platform.errors import TableMissing, UnknownForecast
    from forecast_platform.lineage.commits import Commits
    from forecast_platform.lineage.forecast import ForecastId, find_forecast
    from forecast_platform.partitions import RegionWeek

    now = found.id
    earlier = RegionWeek(now.key.region, now.key.week - pd.Timedelta(weeks=1))
    wanted = str(ForecastId(earlier, now.unique_id, now.h + 1))
    try:
        return find_forecast(lake, Commits(lake), wanted), ""
    except (UnknownForecast, TableMissing):
        return None, (
            f"Last week there was no forecast of {found.row['ds']:%Y-%m-%d} to compare with: it "
            f"would be {wanted}. The last week ahead has none; otherwise: forecast-platform run "
            f"--region {earlier.region} --week {earlier.week:%Y-%m-%d}"
        )


def _print(result: "Explanation") -> None:
    import pandas as pd

    row = result.found.row
    title = f"{result.found.id.unique_id}, week of {row['ds']:%Y-%m-%d}, {row['h']} ahead of "
    title += f"{row['week']:%Y-%m-%d}, by {str(row['served_by']).replace('_', ' ')}"
    out.print(title, highlight=False, soft_wrap=True, markup=False)
    if pd.notna(row["failover_reason"]):
        out.print(f"failover: {row['failover_reason']}", highlight=False, soft_wrap=True)
    _print_sum(result.parts, "forecast", float(row["y_hat"]))
    if result.before is None:
        return
    was, now = float(result.before.row["y_hat"]), float(row["y_hat"])
    out.print(f"\nLast week's forecast was {was:,.2f}, a difference of {now - was:+,.2f}:")
    _print_sum(result.reasons, "difference", now - was)
    for name, (then, new) in result.moved.items():
        out.print(f"  {name}: {_shown(then)}, now {_shown(new)}", highlight=False, markup=False)
    for remark in result.remarks:
        out.print(f"  {remark}", highlight=False, markup=False)


def _print_sum(parts: Mapping[str, float], name: str, total: float) -> None:
    """Print parts as a waterfall: each with where the sum stands after it."""
    table = compact_table(["part"], ["units", "sum", ""])
    largest = max((abs(value) for value in parts.values()), default=0.0) or 1.0
    running = 0.0
    for part, value in parts.items():
        running += value
        if abs(value) >= SHOWN_FROM:
            bar = ("+" if value > 0 else "-") * max(1, round(BAR_WIDTH * abs(value) / largest))
            table.add_row(WORDS[part], f"{value:+,.2f}", f"{running:,.2f}", bar)
    table.add_row(f"[bold]{name}[/]", "", f"[bold]{total:,.2f}[/]", "")
    out.print(table)
    if abs(running - total) > 1e-6 * max(1.0, abs(total)):
        stop(f"the parts add up to {running}, not to {total}: report this", ExitCode.FAILED)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) or hasattr(value, "dtype") else str(value)
