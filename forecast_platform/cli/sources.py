"""``forecast-platform sources``: is a sources file right, and what becomes of the files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from forecast_platform.cli.console import ExitCode, err, out, plain_errors, refuse, stop

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.partitions import RegionWeek
    from forecast_platform.resources.landing import Delivery, Landing

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Describe where delivered files lie and what is in them, and see what becomes of them.\n\n"
        "A sources file is YAML; its name goes into FORECAST_PLATFORM_SOURCES_FILE. Begin with "
        "[bold]check[/], which says what is wrong with it line by line, then look at the rows with "
        "[bold]preview[/]. Neither writes anything. docs/sources.md explains every key."
    ),
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
LISTED_AT_MOST = 5


def open_landing(file: Path | None = None) -> "Landing":
    """Open the landing area as the settings, or another sources file, describe it."""
    from forecast_platform.resources.landing import Landing
    from forecast_platform.settings import get_settings

    settings = get_settings()
    sources = file or settings.sources_file
    return Landing(
        uri=settings.landing,
        settle_seconds=settings.settle_seconds,
        storage_options=settings.storage_options,
        sources_file=str(sources) if sources else None,
    )


def tell_unmatched(paths: list[str]) -> None:
    """Name delivered files that no source reads."""
    if paths:
        shown = ", ".join(paths[:LISTED_AT_MOST])
        more = f" and {len(paths) - LISTED_AT_MOST} more" if len(paths) > LISTED_AT_MOST else ""
        err.print(
            f"[yellow]{len(paths)} delivered files are read by no source[/]: {escape(shown)}{more}",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The sources file.", show_default=False)],
    *,
    files: Annotated[
        bool,
        typer.Option("--files/--no-files", help="Also look for a delivered file of each source."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong with a sources file, with line and column.

    Misspelt keys, settings that contradict each other, columns that no contract has, SQL that does
    not parse, paths that match no file of the landing area (FORECAST_PLATFORM_LANDING_URI). Leaves
    with 1 when something is wrong. Files that no source reads are named.

    [bold]Example[/]

    forecast-platform sources check my_sources.yaml
    """
    from forecast_platform.resources.sources_check import find_problems

    with plain_errors():
        delivered = open_landing().paths() if files else None
        found = find_problems(file, delivered)
    if as_json:
        out.print_json(data={"file": str(file), "problems": [one.as_dict() for one in found]})
    else:
        for one in found:
            out.print(
                f"{escape(str(file))}:{one.line}:{one.column}: [bold]{escape(one.key)}[/]: "
                f"{escape(one.message)}",
                highlight=False,
                soft_wrap=True,
            )
    if found:
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        stop(f"{count} in {file}", ExitCode.FAILED)
    if files:
        tell_unmatched(open_landing(file).unmatched())
    err.print(f"{file}: nothing is wrong. Next: forecast-platform sources preview SOURCE")


@app.command("list")
def list_sources(*, as_json: AsJson = False) -> None:
    """List the sources: where they come from, and how many files there are.

    [bold]Example[/]

    forecast-platform sources list
    """
    landing = open_landing()
    with plain_errors():
        delivered = landing.paths()
        rows = [
            {
                "source": name,
                "required": str(source.required),
                "format": "sql" if source.sql else str(source.format),
                "from": source.path or f"${source.sql.connection}" if source.sql else source.path,
                "files": None
                if source.sql
                else sum(1 for path in delivered if source.pattern.fullmatch(path)),
            }
            for name, source in landing.sources().sources.items()
        ]
    if as_json:
        out.print_json(data=rows)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("source", "required", "format", "from", "files"):
        table.add_column(name, justify="right" if name == "files" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if one is None else str(one)) for one in row.values()))
    out.print(table)


@app.command()
def preview(
    source: Annotated[str, typer.Argument(help="Name of the source, such as shipments.")],
    *,
    region: Annotated[str | None, typer.Option(help="Region; the first that has files.")] = None,
    week: Annotated[str | None, typer.Option(help="Monday; the last that has files.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Rows to show of each.")] = 10,
    file: Annotated[
        Path | None, typer.Option("--file", help="Sources file; default the one in force.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the first rows as the platform would take them in, and those it would refuse.

    Reads one region-week of files and writes nothing into the lake.

    [bold]Example[/]

    forecast-platform sources preview shipments --region north_texas --week 2024-03-04
    """
    from forecast_platform.resources.landing import Landing
    from forecast_platform.resources.sources import did_you_mean
    from forecast_platform.schemas.acceptance import accept
    from forecast_platform.schemas.raw import CONTRACTS

    landing: Landing = open_landing(file)
    with plain_errors():
        described = landing.sources().sources
        if source not in described:
            refuse(
                f"{source!r} is not in the sources file; it has {', '.join(described)}"
                + did_you_mean(source, described)
            )
        key, delivery = _delivery(landing, source, region, week)
    if key in delivery.bad:
        stop(delivery.bad[key], ExitCode.FAILED)
    if not delivery.files:
        stop(f"nothing of {source} was delivered for {key.key}", ExitCode.FAILED)
    contract = CONTRACTS[source]
    delivered = delivery.rows
    is_own = (delivered["region"] == key.region) & (delivered["week"] == key.week)
    judged = accept(
        delivered[is_own].reset_index(drop=True),
        contract,
        allow_corrections=landing.allows_corrections(source),
    )
    refused = judged.refused.assign(
        file=judged.delivered.loc[judged.refused.index, "source_file"],
        row=judged.delivered.loc[judged.refused.index, "source_row"],
    )[["file", "row", "code", "column", "value", "reason"]]
    facts = {
        "source": source,
        "region": key.region,
        "week": f"{key.week:%Y-%m-%d}",
        "files": [one.file.file for one in delivery.files if one.key == key],
        "rows_read": len(judged.delivered),
        "rows_accepted": len(judged.table),
        "rows_refused": len(refused),
        "rows_duplicate": len(judged.duplicates),
    }
    if as_json:
        shown = {"accepted": _records(judged.table, rows), "refused": _records(refused, rows)}
        out.print_json(data={**facts, **shown})
        return
    _print_preview(facts, judged.table, refused, rows)


def _delivery(
    landing: "Landing", name: str, region: str | None, week: str | None
) -> "tuple[RegionWeek, Delivery]":
    """Read the region-week that was asked for, or the last one that has rows."""
    from forecast_platform.partitions import RegionWeek, parse_region, parse_week

    try:
        asked = parse_region(region) if region else None
        monday = parse_week(week).as_unit("us") if week else None
    except ValueError as error:
        refuse(str(error))
    found = [
        RegionWeek(one.region, one.week)
        for one in landing.files()
        if one.source == name and one.region and one.week is not None
    ]
    found = [key for key in found if asked in (None, key.region) and monday in (None, key.week)]
    if asked and monday is not None:
        keys = [RegionWeek(asked, monday)]
    elif found:
        keys = [max(found, key=lambda key: (key.week, key.region))]
    else:
        keys = _keys_of_many_weeks(landing, name, asked, monday)
    delivery = landing.read(name, keys)
    rows = [one.key for one in delivery.files]
    return max(rows or keys, key=lambda key: (key.week, key.region)), delivery


def _keys_of_many_weeks(
    landing: "Landing", name: str, region: str | None, monday: "pd.Timestamp | None"
) -> "list[RegionWeek]":
    """List the region-weeks that files whose paths name no week may hold."""
    from forecast_platform.partitions import RegionWeek, parse_week, weeks

    source = landing.sources().sources[name]
    named = region or source.region
    if source.path and not any(source.pattern.fullmatch(path) for path in landing.paths()):
        refuse(f"no file of {landing.uri} matches {source.path!r}, the path of {name}")
    if source.has_week or source.has_delivered:
        refuse(
            f"no file of {name} is of that region and week: see `forecast-platform sources list`"
        )
    if source.sql is not None and (named is None or monday is None):
        refuse(f"{name} comes from a database: give --region and --week")
    if monday is None and source.sql is None and (found := _places(landing, name, named)):
        return [max(found, key=lambda key: (key.week, key.region))]
    if named is None:
        refuse(f"the path of {name} names no region and week: give --region, and --week if known")
    if monday is not None:
        return [RegionWeek(named, monday)]
    known = [parse_week(one).as_unit("us") for one in weeks.get_partition_keys()]
    return [RegionWeek(named, one) for one in known]


def _places(landing: "Landing", name: str, region: str | None) -> "list[RegionWeek]":
    """List the region-weeks that files of many have rows of; none of the rows is held."""
    return [
        key
        for one in landing.files_of_many()
        if one.source == name
        for key in landing.places_in(one)
        if key.region and region in (None, key.region)
    ]


def _records(table: "pd.DataFrame", rows: int) -> list[dict[str, Any]]:
    return json.loads(table.head(rows).to_json(orient="records", date_format="iso"))


def _print_preview(
    facts: dict[str, Any], accepted: "pd.DataFrame", refused: "pd.DataFrame", rows: int
) -> None:
    files = facts["files"]
    named = ", ".join(files[:LISTED_AT_MOST]) + (" …" if len(files) > LISTED_AT_MOST else "")
    out.print(
        f"{facts['source']} of {facts['region']}, {facts['week']}: {facts['rows_read']} rows of "
        f"{named or 'no file'}\n{facts['rows_accepted']} accepted, "
        f"{facts['rows_refused']} refused, {facts['rows_duplicate']} exact duplicates dropped",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for title, table in (("Accepted", accepted), ("Refused", refused)):
        if len(table):
            out.print(f"\n[bold]{title}[/]", highlight=False)
            same = [name for name in ("region", "week") if name in table]
            if len(files) == 1:
                same += [name for name in ("source_file", "file") if name in table]
            shown = table.drop(columns=same).head(rows).rename(columns={"source_row": "row"})
            text = shown.to_string(index=False, max_colwidth=60)
            out.print(text, highlight=False, markup=False, soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the sources file, by which editors complete and check keys.

    [bold]Example[/]

    forecast-platform sources schema > sources.schema.json

    Then begin the sources file with `# yaml-language-server: $schema=sources.schema.json`.
    """
    from forecast_platform.resources.sources_check import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
