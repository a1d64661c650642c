"""``forecast-platform demo``: the whole way in one command, and its table of results."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from forecast_platform.cli.console import ExitCode, compact_table, err, out, plain_errors
from forecast_platform.cli.run import launch_with_progress, report

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from forecast_platform.demo import Demo
    from forecast_platform.launching.boxes import Box


def demo(
    *,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an earlier demo's data and start again.")
    ] = False,
    regions: Annotated[int, typer.Option(help="Regions.", min=1)] = 14,
    stores: Annotated[int, typer.Option(help="Stores per region.", min=1)] = 8,
    products: Annotated[int, typer.Option(help="Products.", min=1)] = 12,
    weeks: Annotated[int, typer.Option(help="Weeks of history.", min=1)] = 56,
    workers: Annotated[int, typer.Option(help="Processes.", min=1, max=64)] = 2,
) -> None:
    """Simulate a retailer and forecast it: from files to a table, in one command.

    Lands the files of 14 regions, takes 56 weeks of history through raw, conditioned and features,
    trains 56 ensembles and 28 baselines, validates and promotes them, and forecasts the next 4
    weeks. Everything is kept in FORECAST_PLATFORM_HOME. Interrupted, it goes on where it was;
    called again, it shows what is there.

    [bold]Example[/]

    forecast-platform demo --fresh
    """
    from forecast_platform.demo import Demo, DemoSize
    from forecast_platform.settings import get_settings

    started = time.monotonic()
    size = DemoSize(regions=regions, stores=stores, products=products, weeks=weeks)
    with plain_errors():
        made = Demo.open(get_settings(), size, fresh=fresh)
        _deliver(made)
        chains = made.chains(workers)
        if chains:
            _run(made, chains, workers)
        else:
            err.print("Everything was done before; --fresh starts again.")
        _show(made, time.monotonic() - started)


def _deliver(made: "Demo") -> None:
    from forecast_platform.cli.simulate import delivery_progress

    if made.is_delivered:
        made.deliver(lambda *_: None)
        return
    size = made.size
    err.print(
        f"[bold]1[/] Delivering {size.weeks} weeks of {size.regions} regions, {size.stores} stores "
        f"and {size.products} products to {made.settings.landing}",
        highlight=False,
        soft_wrap=True,
    )
    with delivery_progress() as advance:
        made.deliver(advance)


def _run(made: "Demo", chains: "list[list[Box]]", workers: int) -> None:
    from forecast_platform.launching.instance import prepare_home

    n_runs = sum(len(chain) for chain in chains)
    err.print(
        f"[bold]2[/] Running raw, conditioned, features of {made.size.first:%Y-%m-%d} to "
        f"{made.size.last:%Y-%m-%d}, then models and forecasts of the last week: {n_runs} runs in "
        f"{workers} processes",
        highlight=False,
        soft_wrap=True,
    )
    outcomes = launch_with_progress(chains, prepare_home(made.settings), workers)
    report(outcomes)
    if not all(outcome.succeeded for outcome in outcomes):
        err.print("The demo is not complete; call it again to go on.")
        raise typer.Exit(ExitCode.FAILED)


def _show(made: "Demo", seconds: float) -> None:
    from forecast_platform.demo import scoreboard

    out.print(_table(scoreboard(made.lake, made.size.last, made.regions)))
    region = made.regions[0]
    lines = (
        "Errors are on held-out weeks: MAPE where actual > 0, of the ensemble, its members and the",
        "historical average; RMSE-0 of rows with actual 0, RMSE-all of all rows [units].",
        "Models that serve: ensembles that passed the gate + baselines.",
        f"Tables:  {made.settings.lake}   Models: {made.settings.registry}",
        f"Took {seconds:.0f} s.",
        "",
        "Next:    make dev                                         the graph, runs and checks",
        f"         forecast-platform forecast show --region {region}",
        "         forecast-platform forecast export --to forecasts.csv",
        "         forecast-platform status",
    )
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(board: "pd.DataFrame") -> "Table":
    numbers = (
        "MAPE\nensemble",
        "MAPE\nLASSO",
        "MAPE\nnet",
        "MAPE\naverage",
        "better\nby",
        "RMSE\n0",
        "RMSE\nall",
        "models\nserve",
        "rows",
    )
    table = compact_table(["region"], numbers)
    for region, row in board.iterrows():
        if region == "total":
            table.add_section()
        table.add_row(
            str(region),
            *(
                f"{row[f'mape_{model}']:.3f}"
                for model in ("ensemble", "lasso", "embedding_net", "historical_average")
            ),
            f"{row['improvement']:.1%}",
            f"{row['rmse_0']:.2f}",
            f"{row['rmse_all']:.2f}",
            f"{row['ensembles']:.0f}+{row['baselines']:.0f}",
            f"{row['rows']:,.0f}",
        )
    return table
