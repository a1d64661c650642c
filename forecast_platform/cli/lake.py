"""``forecast-platform lake``: what the lake is made of, and caring for it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from forecast_platform.cli.console import ExitCode, compact_table, err, out, plain_errors, stop

if TYPE_CHECKING:
    from forecast_platform.resources.maintenance import TableCare, TableStatus

app = typer.Typer(no_args_is_help=True, help="Look at the tables of the lake, and care for them.")

NO_TABLES = "The lake has no table yet: forecast-platform run makes them"


@app.command("status")
def status() -> None:
    """List the tables: versions, files, bytes, and since when they can be read as they were.

    [bold]small[/] counts files that share a region-week with others, which maintenance puts
    together; [bold]readable since[/] is the time of the oldest version whose files are all there.
    """
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.resources.maintenance import look_at, tables_of
    from forecast_platform.settings import get_settings

    with plain_errors():
        lake = open_lake(get_settings())
        found = [look_at(lake, table) for table in tables_of(lake)]
    if not found:
        stop(NO_TABLES, ExitCode.FAILED)
    _print_status(found)
    err.print(f"Old versions are kept for {lake.audit_days} days.", highlight=False)


@app.command("maintain")
def maintain(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")
    ] = False,
) -> None:
    """Put small files together, and remove what is older than the audit period.

    Runs beside writers, and can be stopped at any time: what is done is done, and the next run
    goes on. The schedule [bold]lake_maintenance_schedule[/] does the same every week. The period
    is FORECAST_PLATFORM_AUDIT_DAYS.

    [bold]Example[/]

    forecast-platform lake maintain --dry-run
    """
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.resources.maintenance import maintain as care_for
    from forecast_platform.settings import get_settings

    now = datetime.now(UTC)  # noqa: TID251 - the age of files is measured by the clock
    with plain_errors():
        lake = open_lake(get_settings())
        done = care_for(lake, now=now, run_id="command line", dry_run=dry_run)
    if not done:
        stop(NO_TABLES, ExitCode.FAILED)
    _print_care(done)
    for one in done:
        if one.problem:
            err.print(f"[yellow]left[/] {one.table}: {one.problem}", highlight=False)
    if dry_run:
        err.print("Nothing was changed.")


def _print_status(found: "list[TableStatus]") -> None:
    table = compact_table(
        ["table"], ["version", "files", "small", "MB", "commits", "readable since"]
    )
    for one in found:
        table.add_row(
            one.table,
            f"{one.version:,}",
            f"{one.files:,}",
            f"{one.small:,}",
            f"{one.bytes / 1e6:,.1f}",
            f"{one.commits:,}",
            f"{one.oldest:%Y-%m-%d %H:%M}Z",
        )
    out.print(table)


def _print_care(done: "list[TableCare]") -> None:
    table = compact_table(
        ["table"],
        ["compacted", "checkpoint", "files\ngone", "MB\ngone", "logs\ngone", "temp\ngone"],
    )
    for one in done:
        compacted = f"{one.compacted_from:,} to {one.compacted_to:,}"
        table.add_row(
            one.table,
            compacted if one.compacted_from else "-",
            "yes" if one.made_checkpoint else "-",
            f"{one.removed_files:,}",
            f"{one.freed_bytes / 1e6:,.1f}",
            f"{one.removed_logs:,}",
            f"{one.removed_temporary:,}",
        )
    out.print(table)
