"""``forecast-platform members``: what the ensembles are made of, and whether it can be used."""

from typing import Annotated, Final

import typer

from forecast_platform.cli.console import ExitCode, compact_table, err, out, plain_errors, stop

app = typer.Typer(
    no_args_is_help=True,
    help="Show and check the members of the ensembles: LASSO, embedding net, and your own.",
)

HOW_TO_ADD: Final = (
    'Add one: FORECAST_PLATFORM_MEMBERS=\'{"my_member": "my_package.my_module:MyForecaster"}\' '
    "(docs/extending.md)."
)


@app.command("list")
def list_members() -> None:
    """List the members that are trained, and the class of each."""
    from forecast_platform.settings import get_settings

    table = compact_table(["member", "class"], [])
    for name, path in get_settings().member_paths.items():
        table.add_row(name, path)
    out.print(table)
    err.print(HOW_TO_ADD, highlight=False, soft_wrap=True, markup=False)


@app.command("check")
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Members to check; all of them by default.")
    ] = None,
) -> None:
    """Import members, fit each on made-up rows, and hold it to what the platform relies on.

    A member must forecast one finite number of at least zero per row, the same when it is fitted
    again with the same seed, and the same when it is read back from what it wrote as data. Takes
    seconds and touches no table.

    [bold]Example[/]

    forecast-platform members check lightgbm
    """
    from forecast_platform.forecasting.models.families import UnfitFamily, try_family
    from forecast_platform.forecasting.training import TrainingConfig
    from forecast_platform.resources.members import member_families

    with plain_errors():
        families = member_families(names or None)
    problems = 0
    for name, family in families.items():
        try:
            try_family(name, family, TrainingConfig(epochs=1).for_members())
        except UnfitFamily as error:
            problems += 1
            err.print(f"[bold red]unfit[/] {name}: ", end="")
            err.print(str(error), highlight=False, soft_wrap=True, markup=False)
        else:
            out.print(f"fit    {name}: {family.__module__}:{family.__qualname__}", highlight=False)
    if problems:
        stop(f"{problems} of {len(families)} members cannot be used", ExitCode.FAILED)
