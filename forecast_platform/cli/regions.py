"""``forecast-platform regions``: which sales regions exist."""

from typing import Annotated

import typer

from forecast_platform.cli.console import err, out, plain_errors, refuse

app = typer.Typer(no_args_is_help=True, help="List and register sales regions.")


@app.command("list")
def list_regions() -> None:
    """List the registered regions, one a line, in the order of registration."""
    from forecast_platform.launching.instance import open_instance, registered_regions
    from forecast_platform.settings import get_settings

    with plain_errors(), open_instance(get_settings()) as instance:
        known = registered_regions(instance)
    for name in known:
        out.print(name, highlight=False)
    if not known:
        err.print("No region is registered yet: forecast-platform regions add NAME")


@app.command("add")
def add(
    name: Annotated[list[str], typer.Argument(help="Names: a-z, 0-9, '_' and '-'.")],
) -> None:
    """Register regions, so that their weeks can be run and are run by the schedule.

    Registering a region again changes nothing. A region's files are found by its name in the
    landing area.

    [bold]Example[/]

    forecast-platform regions add north_texas florida
    """
    from forecast_platform.launching.instance import add_regions, open_instance
    from forecast_platform.partitions import parse_region
    from forecast_platform.settings import get_settings

    try:
        wanted = [parse_region(text) for text in name]
    except ValueError as error:
        refuse(str(error))
    with plain_errors(), open_instance(get_settings()) as instance:
        new = add_regions(instance, wanted)
    err.print(f"Registered {', '.join(new)}." if new else "Nothing new: all were registered.")
