"""``forecast-platform experiments``: compare two models in production, watch, decide, end."""

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forecast_platform.cli.arguments import choose_regions, names, read_week
from forecast_platform.cli.console import ExitCode, compact_table, err, out, plain_errors, stop

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.resources.experiments.book import Experiment
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


@app.command("start")
def start_experiment(
    region: Region,
    name: Name,
    *,
    b: Annotated[
        str,
        typer.Option("--b", help="As --a.", show_default=False),
    ],
    why: Why,
    a: Annotated[
        str,
        typer.Option("--a", help="champion, challenger, or versions: large_fast=7,large_slow=5"),
    ] = "champion",
    segment: Annotated[
        list[str] | None,
        typer.Option("--segment", "--segments", help="One, several (a,b or repeated); all."),
    ] = None,
    design: Annotated[
        Literal["stores", "interleaved"],
        typer.Option(help="Stores by arm (A/B), or half of the series each, in turn."),
    ] = "stores",
    metric: Annotated[Literal["mape", "wape"], typer.Option(help="Error to compare.")] = "mape",
    alpha: Annotated[
        float, typer.Option(help="Share of wrong winners that is allowed.", min=1e-6, max=0.5)
    ] = 0.05,
    min_difference: Annotated[
        float, typer.Option(help="Relative difference that a winner must exceed.", min=0.0)
    ] = 0.005,
    first_week: Annotated[
        str | None,
        typer.Option(help="Monday; default: the week after the newest forecast."),
    ] = None,
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
    from forecast_platform.settings import get_settings

    with plain_errors():
        lake, registry = _open(region)
        monday = read_week(first_week, get_settings()) if first_week else None
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
            first_week=monday,
            who=who or getpass.getuser(),
            why=why,
            decided_at=_moment(),
            run_id=COMMAND,
        )
        started = start(order, lake, registry)
    _print_started(started)


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
        out.print_json(json.dumps([_described(one, results) for one in shown]))
        return
    if not shown:
        stop(f"{region} has had no experiment yet", ExitCode.FAILED)
    for one in shown:
        _print_status(one, results)


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
    _print_list(found)


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

    decider, moment = who or getpass.getuser(), _moment()
    changed: dict[str, int] = {}
    with plain_errors():
        lake, registry = _open(region)
        if promote is None:
            stopped = stop_now(
                region, name, lake, who=decider, why=why, decided_at=moment, run_id=COMMAND
            )
        else:
            stopped, changed = stop_and_promote(
                region,
                name,
                lake,
                registry,
                promote=promote,
                who=decider,
                why=why,
                decided_at=moment,
                run_id=COMMAND,
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


def _print_started(one: "Experiment") -> None:
    from collections import Counter

    out.print(
        f"Started {one.name} in {one.region}: A is {one.a.label}, B is {one.b.label}, in "
        f"{', '.join(one.segments)}, from {one.first_week:%Y-%m-%d} on.",
        highlight=False,
    )
    if one.stores:
        counted = Counter(one.stores.values())
        err.print(f"Stores: {counted['A']} are A, {counted['B']} are B.", highlight=False)
    err.print(f"Watch it: forecast-platform experiments status {one.region} {one.name}")


def _print_status(one: "Experiment", results: "pd.DataFrame | None") -> None:
    span = f"since {one.first_week:%Y-%m-%d}"
    if one.last_week is not None:
        span = f"{one.first_week:%Y-%m-%d} to {one.last_week:%Y-%m-%d}"
    out.print(
        f"[bold]{one.name}[/] ({one.state.value}, {span}, {one.design.value}): A is "
        f"{one.a.label}, B is {one.b.label}, in {', '.join(one.segments)}",
        highlight=False,
    )
    known = _described(one, results)
    if not known.get("n_weeks"):
        out.print("  not yet: no week has actuals", highlight=False)
        return
    table = compact_table(["verdict"], ["weeks", "rows", f"{one.metric} A", f"{one.metric} B"])
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column(f"{1 - one.alpha:.0%} interval, at all times", justify="right")
    after = f" after {known['decided_after']} weeks" if known["decided_after"] else ""
    table.add_row(
        f"{known['verdict'].replace('_', ' ')}{after}",
        f"{known['n_weeks']:,}",
        f"{known['n_rows']:,}",
        f"{known['loss_a']:.4f}",
        f"{known['loss_b']:.4f}",
        f"{known['estimate']:+.2%}",
        _interval(known),
    )
    out.print(table)
    if known["note"]:
        err.print(f"an arm failed over: {known['note']}", highlight=False, markup=False)


def _interval(known: dict[str, Any]) -> str:
    if known["lower"] is None:
        return "too few weeks"
    return f"{known['lower']:+.2%} to {known['upper']:+.2%}"


def _print_list(found: "Sequence[Experiment]") -> None:
    table = compact_table(["experiment", "state", "weeks"], [])
    for name in ("A", "B", "segments", "who, why"):
        table.add_column(name, overflow="fold")
    for one in found:
        last = "" if one.last_week is None else f"{one.last_week:%Y-%m-%d}"
        promoted = f", {one.promoted} promoted" if one.promoted else ""
        table.add_row(
            f"{one.region}/{one.name}",
            f"{one.state.value}{promoted}",
            f"{one.first_week:%Y-%m-%d}..{last}",
            one.a.label,
            one.b.label,
            ", ".join(one.segments),
            f"{one.who}: {one.why}",
        )
    out.print(table)


def _described(one: "Experiment", results: "pd.DataFrame | None") -> dict[str, Any]:
    import pandas as pd

    told: dict[str, Any] = {
        "region": one.region,
        "experiment": one.name,
        "state": one.state.value,
        "design": one.design.value,
        "segments": list(one.segments),
        "a": one.a.label,
        "b": one.b.label,
        "first_week": f"{one.first_week:%Y-%m-%d}",
        "last_week": None if one.last_week is None else f"{one.last_week:%Y-%m-%d}",
        "promoted": one.promoted,
    }
    rows = None if results is None else results[results["experiment"] == one.name]
    if rows is None or rows.empty:
        return told
    row = {str(name): value for name, value in rows.iloc[0].items()}
    plain = {
        name: None if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
        for name, value in row.items()
        if name not in told and name != "week"
    }
    return told | plain


def _moment() -> str:
    moment = datetime.now(UTC)  # noqa: TID251 - when somebody decided
    return moment.isoformat(timespec="microseconds")
