"""``forecast-platform run``: bring region-weeks up to date, by the same assets as in the UI."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from forecast_platform.cli.arguments import choose_regions, choose_weeks, names, read_time
from forecast_platform.cli.console import ExitCode, err, is_interactive, plain_errors, refuse

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import TaskID

    from forecast_platform.launching.boxes import Box
    from forecast_platform.launching.execution import Outcome, Problem
    from forecast_platform.launching.workers import Progress
    from forecast_platform.settings import Settings

RAW: Final = "raw"

MAX_SHOWN: Final = 3
"""Partitions named for one failed check; the rest is counted."""


def run(
    *,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", "--regions", help="One, several (a,b or repeated) or all."),
    ] = None,
    week: Annotated[
        str | None, typer.Option(help="Monday of one week; default: the last that closed.")
    ] = None,
    weeks: Annotated[
        str | None, typer.Option(help="Range FROM..TO of Mondays, both included.")
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(help="Stages to run; [b]data[/] and [b]models[/] stand for several."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="A past time in UTC, such as 2024-03-20T06:00Z: what was known then."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1, max=64)] = 2,
) -> None:
    """Take regions and weeks through the stages, and say what failed and why.

    Stages, in order: raw, conditioned, features ([bold]data[/]); training, validation, promotion,
    forecasting, monitoring ([bold]models[/]). Running a region-week again replaces what it wrote
    before, nothing else. Ranges of data run as few large runs; models run one region-week at a
    time. Apart from them, [bold]deep_horizon[/] forecasts up to a year ahead.

    With [bold]--as-of[/] every table is read as it was at that time, the raw ones too; what is
    made goes into an overlay below the home, with a registry of its own, and nothing current
    changes.

    [bold]Examples[/]

    forecast-platform run --region north_texas --week 2024-12-30

    forecast-platform run --region north_texas --week 2024-12-30 --as-of 2025-01-07T06:00Z

    forecast-platform run --select data --weeks 2023-12-04..2024-12-30

    forecast-platform run --regions florida,gulf_coast --week 2024-12-30 --select models
    """
    from forecast_platform.launching.boxes import plan
    from forecast_platform.launching.instance import (
        open_instance,
        prepare_home,
        registered_regions,
    )
    from forecast_platform.settings import get_settings, go_back_to

    with plain_errors():
        settings = go_back_to(read_time(as_of)) if as_of else get_settings()
        groups = _groups(names(select), is_past=settings.as_of is not None)
        with open_instance(settings) as instance:
            order = registered_regions(instance)
        wanted = choose_regions(names(region), order)
        mondays = choose_weeks(week, weeks, settings)
        chains = plan(order, wanted, mondays, groups, chains=workers)
        outcomes = launch_with_progress(chains, prepare_home(settings), workers)
    report(outcomes)
    if settings.as_of is not None:
        _print_overlay(settings)
    if not all(outcome.succeeded for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILED)


def _groups(asked: Sequence[str], *, is_past: bool = False) -> list[str]:
    """Turn stage names into asset groups, in order; as of a past time nothing is taken in."""
    from forecast_platform.automation.jobs import DATA_GROUPS, DEEP_GROUP, FORECAST_GROUPS
    from forecast_platform.launching.boxes import MODEL_GROUPS

    if is_past and RAW in asked:
        refuse(
            "delivered files have no versions, so the stage raw cannot be run as of a past time: "
            "the raw tables of that time are read from the lake"
        )
    short = {"data": DATA_GROUPS, "models": MODEL_GROUPS, "all": FORECAST_GROUPS}
    chosen = {group for name in asked for group in short.get(name, (name,))}
    if chosen == {DEEP_GROUP}:
        return [DEEP_GROUP]
    if DEEP_GROUP in chosen:
        refuse(f"{DEEP_GROUP} has a job of its own: select it alone, when the marts are there")
    unknown = sorted(chosen - set(FORECAST_GROUPS))
    if unknown:
        refuse(
            f"no stage is called {', '.join(map(repr, unknown))}; there are "
            f"{', '.join(FORECAST_GROUPS)}, and data, models for several"
        )
    possible = [group for group in FORECAST_GROUPS if not (is_past and group == RAW)]
    return [group for group in possible if not chosen or group in chosen]


def _print_overlay(settings: "Settings") -> None:
    """Say where the answers of a past time are, and how to look at them."""
    time = settings.as_of.isoformat().replace("+00:00", "Z") if settings.as_of else "now"
    err.print(
        f"As of {time}, in {settings.state_home}; nothing current was changed. "
        f"Look at it: FORECAST_PLATFORM_AS_OF={time} forecast-platform forecast show",
        highlight=False,
        soft_wrap=True,
    )


def launch_with_progress(
    chains: "Sequence[Sequence[Box]]", home: "Path", workers: int
) -> "list[Outcome]":
    """Launch the runs and show on standard error how far they are."""
    from forecast_platform.launching.workers import launch

    total = sum(len(chain) for chain in chains)
    with _display(total) as on_progress:
        return launch(chains, home=home, workers=workers, on_progress=on_progress)


@contextmanager
def _display(total: int) -> "Iterator[Callable[[Progress], None]]":
    """Show one line for all runs and one for each that is under way."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=err, transient=True) as bars:
        overall = bars.add_task("runs", total=total)
        lines: dict[str, TaskID] = {}

        def show(progress: "Progress") -> None:
            run_id = progress.box.run_id
            if progress.is_finished:
                bars.advance(overall)
                if run_id in lines:
                    bars.remove_task(lines.pop(run_id))
                if not is_interactive():
                    end = "failed" if progress.has_failed else "finished"
                    err.print(f"  {end} {progress.box.label}", highlight=False)
                return
            if run_id not in lines:
                lines[run_id] = bars.add_task("", total=None)
            bars.update(
                lines[run_id],
                description=f"  {progress.box.label}: {progress.step}",
                completed=progress.steps_done,
            )

        yield show


def report(outcomes: "Sequence[Outcome]") -> None:
    """Say what succeeded, which checks did not pass, what failed, why, and what to do."""
    failed = [outcome for outcome in outcomes if not outcome.succeeded]
    _print_warnings([problem for outcome in outcomes for problem in outcome.warnings])
    for outcome in failed:
        _print_failure(outcome)
    done = len(outcomes) - len(failed)
    err.print(f"{done} of {len(outcomes)} runs succeeded.", highlight=False)
    if failed:
        err.print("See them in the UI: forecast-platform dev, page Runs.")


def _print_warnings(problems: "Sequence[Problem]") -> None:
    by_check: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_check[problem.where].append(problem)
    for check, found in sorted(by_check.items()):
        err.print(f"[yellow]check did not pass[/] {check}", highlight=False, soft_wrap=True)
        for problem in found[:MAX_SHOWN]:
            where = f"{problem.partition}: " if problem.partition else ""
            err.print(f"    {where}{problem.message}", markup=False, soft_wrap=True)
        if len(found) > MAX_SHOWN:
            err.print(f"    and {len(found) - MAX_SHOWN} more", highlight=False)


def _print_failure(outcome: "Outcome") -> None:
    err.print(f"[bold red]failed[/] {outcome.box.label}", highlight=False, soft_wrap=True)
    for problem in outcome.failures:
        message = problem.message.replace("\n", "\n      ")
        err.print(f"    {problem.where}: {message}", markup=False, soft_wrap=True)
    err.print(f"    then: {command_for(outcome.box)}", markup=False, soft_wrap=True)


def command_for(box: "Box") -> str:
    """Return the command that runs a box again."""
    span = f"{box.first_week:%Y-%m-%d}"
    when = f"--week {span}" if box.n_weeks == 1 else f"--weeks {span}..{box.last_week:%Y-%m-%d}"
    regions, stages = ",".join(box.regions), ",".join(box.groups)
    return f"forecast-platform run --regions {regions} {when} --select {stages}"
