"""``forecast-platform models``: which model serves, why, and a person's word on it.

What a decision does is in `forecast_platform.resources.approvals`; here it is asked for and shown.
"""

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from forecast_platform.cli.arguments import Regions, choose_regions, names
from forecast_platform.cli.console import (
    ExitCode,
    compact_table,
    err,
    out,
    plain_errors,
    refuse,
    stop,
)

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.resources.lake import Lake

app = typer.Typer(
    no_args_is_help=True,
    help="See which model serves and why; approve, reject, roll back, serve over HTTP.",
)

Region = Annotated[str, typer.Argument(help="Region, such as north_texas.")]
Segments = Annotated[
    list[str] | None,
    typer.Option("--segment", help="Such as large_fast; repeated or a,b. Default: all it can be."),
]
Who = Annotated[str | None, typer.Option("--who", help="Who decides. Default: the user's name.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in promotion_log.")]

NOTHING = "No model was judged yet: forecast-platform run"


@app.command("list")
def list_models(
    *,
    region: Regions = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List who serves each segment: version, age, verdict of the newest week, state of failover.

    Read from the lake alone: it works while the registry is down.

    [bold]Example[/]

    forecast-platform models list --region north_texas
    """
    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.resources.overview import serving_models
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with plain_errors(), open_instance(settings) as instance:
        wanted = choose_regions(names(region), registered_regions(instance))
        found = serving_models(open_lake(settings), wanted)
    if found.empty:
        stop(NOTHING, ExitCode.FAILED)
    if as_json:
        _print_json(found)
        return
    table = compact_table(
        ["region", "segment", "serves", "cutoff"], ["days\nold", "MAPE", "verdict", "state"]
    )
    for row in found.to_dict("records"):
        is_loud = row["verdict"] == "pending" or row["state"] not in {"champion", "no_champion"}
        mark = "[bold yellow]" if is_loud else ""
        table.add_row(
            str(row["region"]),
            str(row["segment"]),
            _version(row["champion_version"]),
            _day(row["cutoff"]),
            _written(row["age_days"], "{:.0f}"),
            _written(row["mape_challenger"], "{:.3f}"),
            f"{mark}{row['verdict']}",
            f"{mark}{row['state']}",
        )
    out.print(table)
    _tell_pending(found)


@app.command("show")
def show(
    region: Region,
    *,
    segment: Segments = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the newest verdict on each segment's model with every number that was looked at.

    [bold]Example[/]

    forecast-platform models show north_texas --segment large_fast
    """
    from forecast_platform.resources.overview import serving_models

    with plain_errors():
        lake = _lake()
        rows = serving_models(lake, [region], with_former=True)
        found = _of_segments(rows, names(segment)) if len(rows) else rows
        log = _log(lake, region)
    if found.empty:
        stop(NOTHING, ExitCode.FAILED)
    if as_json:
        _print_json(found)
        return
    for row in found.to_dict("records"):
        out.print(f"[bold]{row['model_name']}[/]", highlight=False)
        serves = f"{_version(row['champion_version'])}, cutoff {_day(row['cutoff'])}"
        digest = _written(row["sha256"], "{}")[:12]
        out.print(f"  serves    {serves}, sha256 {digest}", highlight=False)
        out.print(f"  former    {_version(row['former_version'])}", highlight=False)
        out.print(f"  state     {row['state']}", highlight=False)
        out.print(
            f"  verdict   {row['verdict']} at {_day(row['week'])}: {escape(str(row['reason']))}",
            highlight=False,
        )
        _print_numbers(log, row)


@app.command("history")
def history(
    region: Region,
    *,
    segment: Segments = None,
    last: Annotated[int, typer.Option("--last", min=1, help="Newest verdicts to show.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List verdicts of the rule and of persons, the newest last: the table promotion_log.

    [bold]Example[/]

    forecast-platform models history north_texas --segment large_fast
    """
    with plain_errors():
        found = _of_segments(_log(_lake(), region), names(segment)).tail(last)
    if found.empty:
        stop(NOTHING, ExitCode.FAILED)
    if as_json:
        _print_json(found)
        return
    table = compact_table(["decided at [Z]", "week", "segment", "verdict", "who"], ["from", "to"])
    table.add_column("why", overflow="ellipsis", no_wrap=True, max_width=46)
    for row in found.to_dict("records"):
        table.add_row(
            str(row["decided_at"])[:16].replace("T", " "),
            _day(row["week"]),
            str(row["segment"]),
            str(row["verdict"]),
            escape(str(row["who"])),
            _version(row["champion_before"]),
            _version(row["champion_after"]),
            escape(str(row["why"])),
        )
    out.print(table)


@app.command("approve")
def approve(
    region: Region,
    *,
    why: Why,
    segment: Segments = None,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Put this version of one segment into service, waiting or not."),
    ] = None,
    who: Who = None,
) -> None:
    """Let challengers serve that wait for approval, from the next forecasts on.

    They wait when FORECAST_PLATFORM_PROMOTION_MODE is manual. The same is done in the UI by the job
    [bold]decide_on_models[/].

    [bold]Example[/]

    forecast-platform models approve north_texas --segment large_fast --why "agreed with planning"
    """
    _decide("approve", region, segment, who=who, why=why, version=version)


@app.command("reject")
def reject(region: Region, *, why: Why, segment: Segments = None, who: Who = None) -> None:
    """Refuse challengers that wait for approval; the champions go on.

    A rejected version is never promoted, also when its week is made again.

    [bold]Example[/]

    forecast-platform models reject north_texas --segment large_fast --why "store 12 was closed"
    """
    _decide("reject", region, segment, who=who, why=why)


@app.command("rollback")
def rollback(region: Region, *, why: Why, segment: Segments = None, who: Who = None) -> None:
    """Put the former champions back, from the next forecasts on.

    The withdrawn version does not come back by itself, also when its week is made again; a better
    one of a later week can take its place. Run the forecasts again to replace those that are there:
    forecast-platform run --region REGION --week WEEK --select forecasting.

    [bold]Example[/]

    forecast-platform models rollback north_texas --segment large_fast --why "orders doubled"
    """
    _decide("rollback", region, segment, who=who, why=why)


@app.command("export")
def export(
    region: Region,
    *,
    to: Annotated[Path, typer.Option("--to", help="New folder of the MLflow model.")],
) -> None:
    """Write a region's champions as one MLflow model, with the code that it needs and no pickle.

    mlflow models predict, serve and build-docker take the folder, where this package is not
    installed too. What it needs is pinned in its requirements.txt.

    [bold]Example[/]

    forecast-platform models export north_texas --to /tmp/north_texas
    """
    from forecast_platform.launching.registry import open_registry
    from forecast_platform.resources.export import export_region
    from forecast_platform.settings import get_settings

    if to.exists():
        refuse(f"{to} is there already: name a folder that is not")
    with plain_errors():
        index = export_region(region, _lake(), open_registry(get_settings()), to)
    for key, one in index["models"].items():
        shown = f"{key}: {one['model_name']} v{one['model_version']}, cutoff {one['cutoff']}"
        err.print(shown, highlight=False)
    out.print(str(to), highlight=False, soft_wrap=True)


@app.command("serve")
def serve(
    region: Region,
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5001,
) -> None:
    """Serve a region's champions over HTTP on 127.0.0.1, until Ctrl-C.

    Rows of demand_features go to /invocations as JSON, in one of MLflow's forms; forecasts come
    back with the model that made them. The champions are those of now: start again after a
    promotion. For more than this machine, put it behind a proxy that asks who is calling.

    [bold]Example[/]

    forecast-platform models serve north_texas --port 5001
    """
    import tempfile

    from forecast_platform.launching.registry import open_registry
    from forecast_platform.launching.scoring_server import run_server
    from forecast_platform.resources.export import export_region
    from forecast_platform.settings import get_settings

    with plain_errors(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        index = export_region(region, _lake(), open_registry(get_settings()), folder)
        served = ", ".join(f"{key} v{one['model_version']}" for key, one in index["models"].items())
        err.print(f"{region}: {served}", highlight=False)
        err.print(f"POST rows to http://127.0.0.1:{port}/invocations; Ctrl-C ends", highlight=False)
        if code := run_server(folder, port):
            stop(f"the scoring server ended with {code}: what it said is above", ExitCode.FAILED)


@app.command("retention")
def retention(
    *,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days",
            min=1,
            help="Younger versions stay; at least the audit period. By default "
            "FORECAST_PLATFORM_KEEP_MODELS_DAYS.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted, delete nothing.")
    ] = False,
) -> None:
    """Delete old versions and runs, never one that a kept forecast refers to.

    Kept are also those with an alias, and all that any version of forecasts or promotion refers to
    that the lake can still be read at. What is stopped halfway is finished by the next call. The
    schedule [bold]lake_maintenance_schedule[/] does the same every week.

    [bold]Example[/]

    forecast-platform models retention --dry-run
    """
    from datetime import UTC, datetime

    from forecast_platform.launching.registry import open_registry
    from forecast_platform.resources.retention import retain
    from forecast_platform.settings import get_settings

    now = datetime.now(UTC)  # noqa: TID251 - the age of versions is measured by the clock
    with plain_errors():
        registry = open_registry(get_settings())
        done = retain(registry, _lake(), now=now, keep_days=keep_days, dry_run=dry_run)
    would = "would delete" if dry_run else "deleted"
    out.print(
        f"{done.n_versions:,} versions: {would} {len(done.deleted):,}, and "
        f"{len(done.deleted_runs):,} runs with their files; {done.n_referred:,} old ones stay, "
        "since forecasts refer to them",
        highlight=False,
        soft_wrap=True,
    )


def _decide(
    verb: str,
    region: str,
    segment: list[str] | None,
    *,
    who: str | None,
    why: str,
    version: int | None = None,
) -> None:
    from datetime import UTC, datetime

    from forecast_platform.launching.registry import open_registry
    from forecast_platform.resources.approvals import VERBS, Order, decide
    from forecast_platform.settings import get_settings

    now = datetime.now(UTC)  # noqa: TID251 - when a person decided is told by the clock
    with plain_errors():
        order = Order(
            verdict=VERBS[verb],
            region=region,
            segments=names(segment),
            version=version,
            who=who or getpass.getuser(),
            why=why,
            decided_at=now.isoformat(timespec="microseconds"),
            run_id=f"command line: models {verb}",
        )
        done = decide(order, _lake(), open_registry(get_settings()))
    for row in done.to_dict("records"):
        champion = _version(row["champion_version"])
        serves = "the historical average" if champion == "-" else champion
        told = f"{row['verdict'].replace('_', ' ')}; {serves} serves from {_day(row['week'])} on"
        out.print(f"{row['model_name']}: {told}", highlight=False)
    if verb != "reject":
        week = _day(done["week"].max())
        again = f"forecast-platform run --region {region} --week {week} --select forecasting"
        err.print(f"Forecasts that are there stay; make them again: {again}", soft_wrap=True)


def _lake() -> "Lake":
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.settings import get_settings

    return open_lake(get_settings())


def _log(lake: "Lake", region: str) -> "pd.DataFrame":
    from forecast_platform.resources.decisions import read_log

    return read_log(lake, [region])


def _of_segments(rows: "pd.DataFrame", segments: list[str]) -> "pd.DataFrame":
    return rows[rows["segment"].isin(segments)] if segments else rows


def _print_numbers(log: "pd.DataFrame", row: dict[Any, Any]) -> None:
    """Print the conditions of the rule as they were held against the newest challenger."""
    own = log[(log["segment"] == row["segment"]) & (log["numbers_json"] != "[]")]
    if own.empty:
        return
    table = compact_table(["condition"], ["value", "limit", "passed"])
    for one in json.loads(str(own["numbers_json"].iloc[-1])):
        passed = "yes" if one["passed"] else "[red]no[/]"
        table.add_row(
            one["condition"],
            _written(one["value"], "{:.3f}"),
            _written(one["limit"], "{:.3f}"),
            passed,
        )
    out.print(table)


def _tell_pending(found: "pd.DataFrame") -> None:
    for region, rows in found[found["verdict"] == "pending"].groupby("region"):
        waiting = ",".join(rows["segment"])
        err.print(
            f"{waiting} of {region} wait: forecast-platform models approve {region} --why ...",
            highlight=False,
        )


def _print_json(rows: "pd.DataFrame") -> None:
    text = rows.to_json(orient="records", date_format="iso", date_unit="s")
    out.print_json(text)


def _version(value: Any) -> str:
    return _written(value, "v{:.0f}")


def _day(value: Any) -> str:
    return _written(value, "{:%Y-%m-%d}")


def _written(value: Any, form: str) -> str:
    import pandas as pd

    return "-" if pd.isna(value) else form.format(value)
