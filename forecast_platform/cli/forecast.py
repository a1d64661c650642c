"""``forecast-platform forecast``: look at the forecasts and take them to other tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from forecast_platform.cli.arguments import Regions, choose_regions, names, read_week
from forecast_platform.cli.console import (
    ExitCode,
    compact_table,
    err,
    out,
    plain_errors,
    refuse,
    stop,
)
from forecast_platform.cli.explain import explain
from forecast_platform.vocabulary import QUANTILES

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.resources.lake import Lake

app = typer.Typer(no_args_is_help=True, help="Show, explain and export forecasts.")
app.command()(explain)

TABLE: Final = "forecasts"
SHOWN: Final = ("region", "week", "store_id", "product_id", "ds", "served_by", "cutoff")
NUMBERS: Final = {
    "model_version": "version",
    "h": "h",
    "y_hat": "y_hat",
    "y_hat_p10": "p10",
    "y_hat_p90": "p90",
    "historical_average": "average",
}
"""Columns at the right and their headings."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs text that begins so as a formula."""

Week = Annotated[
    str | None,
    typer.Option(help="Monday at whose close the forecast was made; default: each region's last."),
]
Stores = Annotated[list[str] | None, typer.Option("--store", help="Only these stores.")]
Products = Annotated[list[str] | None, typer.Option("--product", help="Only these products.")]


@app.command()
def show(
    *,
    region: Regions = None,
    week: Week = None,
    store: Stores = None,
    product: Products = None,
    limit: Annotated[int, typer.Option(help="Rows on the screen.", min=1)] = 24,
) -> None:
    """Show forecasts on the screen: what, for when, by which model, of which cutoff.

    [bold]week[/] is what was known, [bold]ds[/] the week that is forecast, [bold]h[/] the weeks
    between; [bold]y_hat[/] the forecast in units, [bold]p10[/] and [bold]p90[/] the range that
    demand falls into in 80 of 100 cases ([bold]-[/] where a model forecasts none); forecast export
    has the median too. [bold]served_by[/] says whether the champion
    served, or the historical average after a failover.

    [bold]Examples[/]

    forecast-platform forecast show --region north_texas --limit 40

    forecast-platform forecast show --store NT00-0001 --product P0001 --week 2024-12-30
    """
    with plain_errors():
        forecasts = _read(region, week, store, product)
    _print_table(forecasts.head(limit))
    hidden = len(forecasts) - limit
    more = f"; {hidden:,} more: --limit, or forecast export" if hidden > 0 else ""
    err.print(f"{len(forecasts):,} forecasts{more}.", highlight=False)


@app.command()
def export(
    to: Annotated[Path, typer.Option("--to", help="File to write: .csv or .parquet.")],
    *,
    region: Regions = None,
    week: Week = None,
    store: Stores = None,
    product: Products = None,
) -> None:
    """Write forecasts to a CSV or Parquet file, all columns, in a fixed order.

    In CSV, text that a spreadsheet would run as a formula gets a leading apostrophe; Parquet holds
    it as it is.

    [bold]Examples[/]

    forecast-platform forecast export --to forecasts.csv

    forecast-platform forecast export --region florida --to florida.parquet
    """
    if to.suffix not in {".csv", ".parquet"}:
        refuse(f"{to.name} ends neither in .csv nor in .parquet")
    if not to.parent.is_dir():
        refuse(f"there is no folder {to.parent}")
    with plain_errors():
        forecasts = _read(region, week, store, product)
    part = to.with_name(f".{to.name}.part")
    try:
        if to.suffix == ".csv":
            without_formulas(forecasts).to_csv(part, index=False, date_format="%Y-%m-%d")
        else:
            forecasts.to_parquet(part, index=False)
        part.replace(to)
    except OSError as error:
        stop(f"{to} cannot be written: {error.strerror}", ExitCode.FAILED)
    finally:
        part.unlink(missing_ok=True)
    err.print(f"{len(forecasts):,} forecasts are in {to}.", highlight=False, soft_wrap=True)


def without_formulas(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    >>> import pandas as pd
    >>> without_formulas(pd.DataFrame({"store_id": ["=1+1", "S1"]}))["store_id"].tolist()
    ["'=1+1", 'S1']
    """
    safe = frame.copy()
    for column in frame.select_dtypes(["object", "string"]):
        text = frame[column]
        risky = text.str.startswith(FORMULA_STARTS).fillna(value=False).astype(bool)
        safe[column] = text.where(~risky, "'" + text.astype("string"))
    return safe


def _read(
    region: Sequence[str] | None,
    week: str | None,
    store: Sequence[str] | None,
    product: Sequence[str] | None,
) -> "pd.DataFrame":
    """Read the forecasts that were asked for; leave when there are none."""
    import pandas as pd

    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with open_instance(settings) as instance:
        wanted = choose_regions(names(region), registered_regions(instance))
    monday = read_week(week, settings) if week else None
    lake = open_lake(settings)
    if not lake.exists(TABLE):
        stop("nothing is forecast yet: forecast-platform run", ExitCode.FAILED)
    parts = [_read_region(lake, name, monday) for name in wanted]
    forecasts = pd.concat([part for part in parts if part is not None] or [pd.DataFrame()])
    for column, values in (("store_id", names(store)), ("product_id", names(product))):
        if values and len(forecasts):
            forecasts = forecasts[forecasts[column].isin(values)]
    if forecasts.empty:
        stop("no forecast fits: `forecast-platform status` says what there is", ExitCode.FAILED)
    order = ["region", "week", "unique_id", "ds"]
    return with_range(forecasts).sort_values(order, ignore_index=True)


def with_range(forecasts: "pd.DataFrame") -> "pd.DataFrame":
    """Add the columns of the range to forecasts of a table that was written before it had them.

    >>> import pandas as pd
    >>> with_range(pd.DataFrame({"y_hat": [3.0]})).columns.tolist()
    ['y_hat', 'y_hat_p10', 'y_hat_p50', 'y_hat_p90']
    """
    missing = [name for name in QUANTILES if name not in forecasts.columns]
    return forecasts.assign(**dict.fromkeys(missing, float("nan")))


def _read_region(lake: "Lake", region: str, week: "pd.Timestamp | None") -> "pd.DataFrame | None":
    weeks = lake.weeks_of(TABLE, region)
    if not weeks or (week is not None and week not in weeks):
        return None
    return lake.read(TABLE, region=region, weeks=[week if week is not None else weeks[-1]])


def _print_table(forecasts: "pd.DataFrame") -> None:
    single = [name for name in ("region", "week") if len(forecasts[name].unique()) == 1]
    if single:
        err.print(", ".join(f"{name} {_cell(forecasts[name].iloc[0])}" for name in single))
    names = [name for name in SHOWN if name not in single and name not in NUMBERS]
    table = compact_table(names, [NUMBERS[name] for name in NUMBERS])
    for _, row in forecasts.iterrows():
        table.add_row(*(_cell(row[column]) for column in (*names, *NUMBERS)))
    out.print(table)


def _cell(value: object) -> str:
    import pandas as pd

    if pd.isna(value):  # pyright: ignore[reportArgumentType, reportCallIssue]
        return "-"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
