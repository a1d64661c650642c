"""``forecast-platform reproduce``: a forecast made again and compared to the last bit."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from forecast_platform.cli.console import ExitCode, err, out, plain_errors
from forecast_platform.cli.trace import (
    AsJson,
    AsOf,
    ForecastIdArgument,
    find,
    open_current,
    print_json,
)
from forecast_platform.lineage.depth import Depth

if TYPE_CHECKING:
    from forecast_platform.lineage.reproduce import Reproduction


def reproduce(
    forecast_id: ForecastIdArgument,
    *,
    depth: Annotated[
        Depth,
        typer.Option(
            "--from",
            help="Where to begin: [b]model[/] scores again; [b]features[/] trains the model again "
            "too; [b]marts[/] makes all features again before.",
        ),
    ] = Depth.MARTS,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Make a forecast again from the versions that made it, and compare to the last bit.

    Nothing is written. The exit code is 1 when a step differs from what was recorded. Bits can
    only be expected to be the same on the same machine with the same libraries and code: what is
    not is said.

    [bold]Examples[/]

    forecast-platform reproduce 'north_texas|2024-12-30|NT00-0001/P0001|1'

    forecast-platform reproduce 'north_texas|2024-12-30|NT00-0001/P0001|1' --from model
    """
    from forecast_platform.lineage.reproduce import reproduce as make_again

    with plain_errors():
        lake, registry = open_current()
        found, commits = find(lake, forecast_id, as_of)
        with err.status("making it again") as status:
            result = make_again(
                found,
                lake,
                commits,
                registry,
                depth=depth,
                on_step=lambda what: status.update(f"making again: {what}"),
            )
    if as_json:
        print_json(result.described())
    else:
        _print(result)
    if not result.is_same:
        raise typer.Exit(ExitCode.FAILED)


def _print(result: "Reproduction") -> None:
    out.print(f"[bold]{escape(str(result.found.id))}[/]", highlight=False)
    width = max(len(step.what) for step in result.steps)
    for step in result.steps:
        verdict = "[green]same   [/]" if step.is_same else "[bold red]differs[/]"
        what = f"{verdict}  {step.what:{width}}  {escape(step.detail)}"
        out.print(what, highlight=False, soft_wrap=True)
    for note in result.notes:
        err.print(f"[yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    differing = [step.what for step in result.steps if not step.is_same]
    verdict = (
        f"[bold red]Not reproduced[/]: first to differ is the step {differing[0]!r}."
        if differing
        else "Reproduced to the last bit."
    )
    out.print(verdict, highlight=False)
