"""``forecast-platform simulate``: a retailer made from a seed, delivered as plain files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecast_platform.cli.arguments import names
from forecast_platform.cli.console import err, out, plain_errors, refuse

if TYPE_CHECKING:
    from forecast_platform.simulation.config import RetailerConfig
    from forecast_platform.simulation.delivery import SimulationReport


def simulate(
    *,
    seed: Annotated[int, typer.Option(help="Of every random choice.", min=0)] = 0,
    regions: Annotated[
        str, typer.Option(help="How many regions (up to 14 have names), or their names: a,b,c.")
    ] = "14",
    stores: Annotated[int, typer.Option(help="Stores per region.", min=1)] = 8,
    products: Annotated[int, typer.Option(help="Products.", min=1)] = 12,
    weeks: Annotated[int, typer.Option(help="Weeks to deliver.", min=1)] = 104,
    first_week: Annotated[
        str, typer.Option(help="Monday of the first delivered week.")
    ] = "2023-01-02",
    wart: Annotated[
        list[str] | None,
        typer.Option(help="Something that goes wrong, by name; repeat it for more."),
    ] = None,
    landing: Annotated[
        Path | None, typer.Option(help="Where to deliver; default: the landing area.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Where to keep the true expected demand; default: nowhere.")
    ] = None,
    register: Annotated[bool, typer.Option(help="Also register the regions.")] = True,
    list_warts: Annotated[bool, typer.Option("--list-warts", help="List the warts.")] = False,
) -> None:
    """Make a retailer and deliver its files, week by week, as a customer would.

    The same seed and size give the same files, byte for byte. Sizes go from 2 regions of 4
    stores and 5 products, for a test, to 14 regions of 2,000 stores and 100 products.

    [bold]Examples[/]

    forecast-platform simulate --regions 2 --stores 4 --products 5 --weeks 60

    forecast-platform simulate --wart missing_week --wart negative_units
    """
    from forecast_platform.settings import get_settings
    from forecast_platform.simulation.delivery import simulate as deliver

    if list_warts:
        _print_warts()
        return
    settings = get_settings()
    if landing is None and "://" in settings.landing:
        refuse(f"the landing area is {settings.landing}: name a local folder with --landing")
    folder = landing or Path(settings.landing)
    with plain_errors():
        try:
            config = _config(
                seed=seed,
                regions=regions,
                stores=stores,
                products=products,
                weeks=weeks,
                first_week=first_week,
            )
            with delivery_progress() as advance:
                report = deliver(config, folder, truth=truth, warts=names(wart), progress=advance)
        except ValueError as error:
            refuse(str(error))
        if register:
            _register(config.regions)
    _tell(report, folder, registered=register)


def _config(
    *, seed: int, regions: str, stores: int, products: int, weeks: int, first_week: str
) -> "RetailerConfig":
    from forecast_platform.simulation.config import RetailerConfig, default_regions

    try:
        monday = date.fromisoformat(first_week)
    except ValueError:
        raise ValueError(f"{first_week!r} is not a date: write weeks as YYYY-MM-DD") from None
    return RetailerConfig(
        seed=seed,
        regions=default_regions(int(regions)) if regions.isdigit() else tuple(names([regions])),
        stores_per_region=stores,
        products=products,
        n_weeks=weeks,
        first_week=monday,
    )


@contextmanager
def delivery_progress() -> Iterator[Callable[[int, int, str], None]]:
    """Draw a bar on standard error; its advance is what `simulate` calls."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("delivering")
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=f"delivering {what}"
        )


def _register(regions: Sequence[str]) -> None:
    from forecast_platform.launching.instance import add_regions, open_instance
    from forecast_platform.settings import get_settings

    with open_instance(get_settings()) as instance:
        add_regions(instance, regions)


def _tell(report: "SimulationReport", folder: Path, *, registered: bool) -> None:
    rows = sum(report.rows.values())
    err.print(
        f"Delivered {report.files:,} files ({report.size_bytes / 1e6:,.1f} MB, {rows:,} rows) of "
        f"{len(report.regions)} regions, {report.first_week} to {report.last_week}, to {folder}",
        highlight=False,
        soft_wrap=True,
    )
    for wart in report.warts:
        err.print(f"  wart {wart.wart}: {wart.path}, {wart.rows} rows: {wart.note}", soft_wrap=True)
    span = f"{report.first_week}..{report.last_week}"
    if registered:
        err.print(f"Next: forecast-platform run --select data --weeks {span}", soft_wrap=True)


def _print_warts() -> None:
    from forecast_platform.simulation.warts import WARTS

    for name, wart in WARTS.items():
        out.print(f"{name:18s} week {wart.week_index + 1:2d}  {wart.description}", highlight=False)
