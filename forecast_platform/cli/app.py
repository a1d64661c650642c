"""The commands, put together. What each does is in its own module."""

import inspect
from importlib.metadata import version
from typing import Annotated

import typer

from forecast_platform.cli import alerts, experiments, regions, sources
from forecast_platform.cli.console import EXIT_CODES, out
from forecast_platform.cli.demo import demo
from forecast_platform.cli.dev import dev
from forecast_platform.cli.docs import docs
from forecast_platform.cli.forecast import app as forecast_app
from forecast_platform.cli.lake import app as lake_app
from forecast_platform.cli.members import app as members_app
from forecast_platform.cli.models import app as models_app
from forecast_platform.cli.quarantine import app as quarantine_app
from forecast_platform.cli.reproduce import reproduce
from forecast_platform.cli.run import run
from forecast_platform.cli.simulate import simulate
from forecast_platform.cli.status import status
from forecast_platform.cli.trace import trace

app = typer.Typer(
    name="forecast-platform",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
    help=(
        "Forecast weekly demand for every store and product of many sales regions.\n\n"
        "Where the data is comes from the environment: FORECAST_PLATFORM_HOME (default: data/ "
        "beside the code) holds the landing area, the lake, the model registry and Dagster's "
        "records.\n\n"
        "[bold]Begin with[/]  forecast-platform demo"
    ),
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature of a Typer callback
    if wanted:
        out.print(f"forecast-platform {version('forecast-platform')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Read the options that stand before a command."""


app.command()(demo)
app.command()(simulate)
app.add_typer(regions.app, name="regions")
app.add_typer(sources.app, name="sources")
app.command()(run)
app.command()(status)
app.add_typer(forecast_app, name="forecast")
app.add_typer(models_app, name="models")
app.add_typer(lake_app, name="lake")
app.add_typer(members_app, name="members")
app.command()(trace)
app.command()(reproduce)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(experiments.app, name="experiments")
app.add_typer(alerts.app, name="alerts")
app.command()(dev)
app.command()(docs)


def flow_help(commands: typer.Typer) -> None:
    """Let the paragraphs of each command's docstring flow to the width of the terminal.

    Typer joins only the lines of the first paragraph; those of the others would break both where
    the docstring breaks and where the terminal ends.
    """
    for command in commands.registered_commands:
        text = inspect.cleandoc(command.help or inspect.getdoc(command.callback) or "")
        command.help = "\n\n".join(part.replace("\n", " ") for part in text.split("\n\n"))
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            flow_help(group.typer_instance)


flow_help(app)


def run_app() -> None:
    """Run the command line and leave with its exit code."""
    app()
