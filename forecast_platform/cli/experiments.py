"""``forecast-platform experiments``: compare two models in production, watch, decide, end."""

import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forecast_platform.cli.arguments import choose_regions, names, read_week
from forecast_platform.cli.console import ExitCode, err, out, plain_errors, stop
from forecast_platform.cli.experiment_tables import (
    described,
    print_list,
    print_started,
    print_status,
)

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.resources.lake import Lake

app = typer.Typer(
    no_args_is_help=True,
    help="Let two models serve a region side by side, and see which is better.",
)

Region = Annotated[str, typer.Argument(help="Sales region.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Name of the experiment.", show_default=False)]
Who = Annotated[str | None, typer.Option(help="Who decides; default: the user of this machine.")]
Why = Annotated[str, typer.Option(help="The reason; kept in the table.", show_default=False)]
COMMAND = "command line"


ArmA = Annotated[
    str, typer.Option("--a", help="champion, challenger, or versions: large_fast=7,large_slow=5")
]
ArmB = Annotated[str, typer.Option("--b", help="As --a.", show_default=False)]
Segments = Annotated[
    list[str] | None,
    typer.Option("--segment", "--segments", help="One, several (a,b or repeated); all."),
]
HowServed = Annotated[
    Literal["stores", "interleaved"],
    typer.Option("--design", help="Stores by arm (A/B), or half of the series each, in turn."),
]
Compared = Annotated[Literal["mape", "wape"], typer.Option("--metric", help="Error to compare.")]
Alpha = Annotated[
    float, typer.Option(help="Share of wrong winners that is allowed.", min=1e-6, max=0.5)
]
MinDifference = Annotated[
    float, typer.Option(help="Relative difference that a winner must exceed.", min=0.0)
]
FirstWeek = Annotated[
    str | None, typer.Option(help="Monday; default: the week after the newest forecast.")
]


@app.command("start")
def start_experiment(
    region: Region,
    name: Name,
    *,
    b: ArmB,
    why: Why,
    a: ArmA = "champion",
    segment: Segments = None,
    design: HowServed = "stores",
    metric: Compared = "mape",
    alpha: Alpha = 0.05,
    min_difference: MinDifference = 0.005,
    first_week: FirstWeek = None,
    who: Who = None,
) -> None:
    """Start an experiment: both arms forecast every row, and each serves its own.

    [bold]champion[/] is whoever serves in each week; [bold]challenger[/] the newest model that
    was trained, promoted or not; versions stay the same. A name is used once: it decides which
    stores are A and B. Only one experiment runs in a segment.

    [bold]Example[/]

    forecast-platform experiments start florida newest_or_proven --b challenger --why "gate too
    strict?"
    """
    from forecast_platform.resources.experiments.control import Start, start
    from forecast_platform.schemas.experiments import Design

    with plain_errors():
        lake, registry = _open(region)
        order = Start(
            region=region,
            name=name,
            a=a,
            b=b,
            segments=names(segment),
            design=Design(design),
            metric=metric,
            alpha=alpha,
            min_difference=min_difference,
            first_week=_monday(first_week),
            **_signature(who, why),
        )
        started = start(order, lake, registry)
    print_started(started)


@app.command("status")
def status(
    region: Region,
    name: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is known of a region's experiments: A, B or not yet, and the interval.

    Looking does no harm, however often: the interval holds at all times at once. It is about
    2 (b - a) / (a + b), above 0 when A errs less.
    """
    from forecast_platform.errors import ExperimentRefused
    from forecast_platform.partitions import RegionWeek
    from forecast_platform.resources.experiments.analysis import results_of
    from forecast_platform.resources.experiments.book import experiments_of
    from forecast_platform.resources.snapshot import Snapshot

    with plain_errors():
        lake, _ = _open(region)
        tables = Snapshot(lake)
        known = experiments_of(tables, region)
        if name and name not in [one.name for one in known]:
            there = ", ".join(one.name for one in known) or "none"
            raise ExperimentRefused(f"{name!r} is no experiment of {region}; there are: {there}")
        week = _newest_week(lake, region)
        results = None if week is None else results_of(RegionWeek(region, week), tables)
    shown = [one for one in known if name in (None, one.name)]
    if as_json:
        out.print_json(json.dumps([described(one, results) for one in shown]))
        return
    if not shown:
        stop(f"{region} has had no experiment yet", ExitCode.FAILED)
    for one in shown:
        print_status(one, results)


@app.command("list")
def list_experiments(
    *,
    region: Annotated[
        list[str] | None, typer.Option("--region", "--regions", help="One, several or all.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Every change of each.")] = False,
) -> None:
    """List the experiments: where, what against what, since when, who and why."""
    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.resources.experiments.book import experiments_of, history_of
    from forecast_platform.resources.snapshot import Snapshot
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with plain_errors():
        with open_instance(settings) as instance:
            wanted = choose_regions(names(region), registered_regions(instance))
        tables = Snapshot(open_lake(settings))
        read = history_of if history else experiments_of
        found = [one for name in wanted for one in read(tables, name)]
    if not found:
        err.print("There has been no experiment yet: forecast-platform experiments start --help")
        return
    print_list(found)


@app.command("stop")
def stop_experiment(
    region: Region,
    name: Name,
    *,
    why: Why,
    promote: Annotated[
        Literal["winner", "A", "B"] | None,
        typer.Option(help="Arm that serves from now on: the one the test names, or one by name."),
    ] = None,
    who: Who = None,
) -> None:
    """Stop an experiment: from the next week on the champion serves alone.

    What was served stays as it is, and forecasts that await their actuals are still compared. With
    [bold]--promote[/] the models of an arm become champions, as by [bold]models approve[/]: the
    manifest, promotion_log and the registry say so.

    [bold]Example[/]

    forecast-platform experiments stop florida newest_or_proven --promote winner --why "B it is"
    """
    from forecast_platform.resources.experiments.control import stop as stop_now
    from forecast_platform.resources.experiments.promoting import stop_and_promote

    signed, changed = _signature(who, why), {}
    with plain_errors():
        lake, registry = _open(region)
        if promote is None:
            stopped = stop_now(region, name, lake, **signed)
        else:
            stopped, changed = stop_and_promote(
                region, name, lake, registry, promote=promote, **signed
            )
    said = {"A": "A is better", "B": "B is better"}.get(str(stopped.winner), "not yet decided")
    out.print(f"Stopped {name} of {region} after {stopped.last_week:%Y-%m-%d}: {said}.")
    for segment, version in changed.items():
        out.print(f"{segment} is served by version {version} from now on.", highlight=False)
    if promote is not None and not changed:
        err.print(f"{stopped.promoted} serves already: no champion was changed.")


def _open(region: str) -> tuple["Lake", Any]:
    """Open lake and registry, for a region that exists."""
    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.resources.registry import ModelRegistry
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with open_instance(settings) as instance:
        choose_regions([region], registered_regions(instance))
    registry = ModelRegistry(
        tracking_uri=settings.registry, artifacts_uri=settings.registry_artifacts
    )
    return open_lake(settings), registry


def _newest_week(lake: "Lake", region: str) -> "pd.Timestamp | None":
    weeks = lake.weeks_of("forecasts", region) if lake.exists("forecasts") else []
    return weeks[-1] if weeks else None


def _monday(text: str | None) -> "pd.Timestamp | None":
    from forecast_platform.settings import get_settings

    return read_week(text, get_settings()) if text else None


def _signature(who: str | None, why: str) -> dict[str, str]:
    """Say who decides, why, when and by what."""
    moment = datetime.now(UTC)  # noqa: TID251 - when somebody decided
    return {
        "who": who or getpass.getuser(),
        "why": why,
        "decided_at": moment.isoformat(timespec="microseconds"),
        "run_id": COMMAND,
    }
