"""``forecast-platform trace``: from a forecast back to files, models and code."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape
from rich.tree import Tree

from forecast_platform.cli.arguments import read_time
from forecast_platform.cli.console import ExitCode, err, out, plain_errors, refuse

if TYPE_CHECKING:
    from datetime import datetime

    from forecast_platform.lineage.commits import Commit, Commits
    from forecast_platform.lineage.forecast import Found
    from forecast_platform.lineage.trace import File, Model, Trace
    from forecast_platform.resources.lake import Lake
    from forecast_platform.resources.registry import ModelRegistry

SHORT: Final = 12
"""Characters of a digest that are shown."""

MAX_COMMITS: Final = 3
"""Commits of one table that are shown, the latest ones."""

ForecastIdArgument = Annotated[
    str,
    typer.Argument(
        metavar="FORECAST_ID",
        help="<region>|<Monday>|<store>/<product>|<weeks ahead>, in quotes.",
        show_default=False,
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="The forecast as it stood at a past time in UTC."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")]


def trace(
    forecast_id: ForecastIdArgument,
    *,
    as_of: AsOf = None,
    files: Annotated[bool, typer.Option("--files", help="List every delivered file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a forecast was made from: model, tables at their versions, files, code.

    Ids are in the column [bold]forecast_id[/] of an export. Where a part of the chain is gone, or
    a model's files are not the registered ones, the exit code is 1.

    [bold]Examples[/]

    forecast-platform trace 'north_texas|2024-12-30|NT00-0001/P0001|1'

    forecast-platform trace 'north_texas|2024-12-30|NT00-0001/P0001|1' --json
    """
    from forecast_platform.lineage.trace import trace as follow

    with plain_errors():
        lake, registry = open_current()
        found, commits = find(lake, forecast_id, as_of)
        result = follow(found, lake, commits, registry)
    if as_json:
        print_json(result.described())
    else:
        out.print(_tree(result, all_files=files))
    for problem in result.problems:
        err.print(f"[bold red]gone or changed:[/] {escape(problem)}", soft_wrap=True)
    if result.problems:
        raise typer.Exit(ExitCode.FAILED)


def open_current() -> "tuple[Lake, ModelRegistry]":
    """Open the lake and the registry; what is made as of a past time is not traced."""
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.launching.registry import open_registry
    from forecast_platform.settings import get_settings

    settings = get_settings()
    if settings.as_of is not None:
        refuse("FORECAST_PLATFORM_AS_OF is set: trace and reproduce follow current forecasts only")
    return open_lake(settings), open_registry(settings)


def find(lake: "Lake", forecast_id: str, as_of: str | None) -> "tuple[Found, Commits]":
    """Find the forecast that was asked for; leave when there is none."""
    from forecast_platform.errors import UnknownForecast
    from forecast_platform.lineage.commits import Commits
    from forecast_platform.lineage.forecast import find_forecast

    commits = Commits(lake)
    time: datetime | None = read_time(as_of) if as_of else None
    try:
        return find_forecast(lake, commits, forecast_id, time), commits
    except UnknownForecast as error:
        refuse(str(error))


def print_json(value: object) -> None:
    """Print a value as JSON, whatever the width of the screen."""
    out.print(json.dumps(value, indent=2), markup=False, highlight=False, soft_wrap=True)


def _tree(result: "Trace", *, all_files: bool) -> Tree:
    row = result.found.row
    units = f"[bold]{row['y_hat']:.3f} units[/] for the week of {row['ds']:%Y-%m-%d}"
    tree = Tree(f"[bold]{escape(str(result.found.id))}[/]  {units}", highlight=False)
    tree.add(f"served by {_server(result)}")
    tree.add(f"made by {_by(result.found.commit)}")
    if result.model is not None:
        _add_model(tree, result.model)
    _add_tables(tree.add("tables, at the versions that were read"), result)
    _add_files(tree.add(_count_files(result.files)), result.files, all_files=all_files)
    tree.add("code " + ", ".join(one[:SHORT] for one in result.git_commits))
    return tree


def _server(result: "Trace") -> str:
    import pandas as pd

    row = result.found.row
    told = str(row["served_by"]).replace("_", " ")
    if pd.notna(row.get("arm")):
        told += f" (arm {row['arm']} of experiment {row['experiment']})"
    if pd.notna(row["failover_reason"]):
        told += f": {escape(str(row['failover_reason']))}"
    return told


def _add_model(tree: Tree, model: "Model") -> None:
    row = model.row
    name = f"{row['model_name']} version {int(row['champion_version'])}"
    node = tree.add(f"model [bold]{name}[/], knows demand up to {model.cutoff:%Y-%m-%d}")
    node.add(f"sha256 {row['sha256']}")
    node.add("[red]files not as registered[/]" if model.problem else "files as registered")
    node.add(f"{row['verdict'].replace('_', ' ')}: {escape(str(row['reason']))}")
    if model.promoted is not None:
        node.add(f"promoted by {_by(model.promoted)}")
    if model.trained is not None:
        node.add(f"trained by {_by(model.trained)}")
        read = (f"{table} {version}" for table, version in sorted(model.trained.read.items()))
        node.add(f"from {', '.join(read)}; MLflow run {model.mlflow_run_id}")


def _add_tables(tree: Tree, result: "Trace") -> None:
    for table, used in sorted(result.uses.items(), key=lambda item: _place(item[0])):
        latest = sorted(used, key=lambda one: -one.version)
        weeks = sorted(week for own in used.values() for week in own)
        span = weeks[0] if weeks[0] == weeks[-1] else f"{weeks[0]}..{weeks[-1]}"
        node = tree.add(f"[bold]{table}[/] {span}, of {_plural(len(latest), 'commit')}")
        for one in latest[:MAX_COMMITS]:
            node.add(_version_of(one))
        if len(latest) > MAX_COMMITS:
            node.add(f"and {len(latest) - MAX_COMMITS} more: --json")


def _place(table: str) -> tuple[int, str]:
    """Put features before marts, and marts before what was delivered."""
    stages = ("demand_", "fct_", "dim_", "raw_")
    return next((n for n, stage in enumerate(stages) if table.startswith(stage)), 0), table


def _add_files(tree: Tree, files: "Sequence[File]", *, all_files: bool) -> None:
    by_source: dict[str, list[File]] = defaultdict(list)
    for one in sorted(files, key=lambda one: (one.week, one.file)):
        by_source[one.source].append(one)
    for source, own in sorted(by_source.items()):
        size = sum(one.size_bytes for one in own)
        node = tree.add(f"[bold]{source}[/] {_plural(len(own), 'file')}, {size:,} bytes")
        for one in own if all_files else own[-1:]:
            node.add(f"{one.sha256 if all_files else one.sha256[:SHORT]} {escape(one.file)}")
        if not all_files and len(own) > 1:
            node.add(f"and {len(own) - 1} earlier: --files or --json")


def _count_files(files: "Sequence[File]") -> str:
    return f"delivered: {_plural(len(files), 'file')}, by SHA-256"


def _by(commit: "Commit") -> str:
    return f"{commit.table} {_version_of(commit)}"


def _version_of(commit: "Commit") -> str:
    return (
        f"version {commit.version}, {commit.made_at:%Y-%m-%d %H:%M:%S}Z, "
        f"run {commit.run_id[:8]}, code {commit.git_commit[:SHORT]}"
    )


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
