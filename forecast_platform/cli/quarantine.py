"""``forecast-platform quarantine``: look at refused rows, mend them, take them after all."""

import getpass
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from forecast_platform.cli.arguments import Regions, choose_regions, names, read_week
from forecast_platform.cli.console import (
    ExitCode,
    compact_table,
    err,
    out,
    plain_errors,
    refuse,
    stop,
)
from forecast_platform.cli.run import launch_with_progress, report

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.partitions import RegionWeek
    from forecast_platform.resources.lake import Lake
    from forecast_platform.schemas.quality import Mending
    from forecast_platform.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Look at refused rows, mend them and replay them.")

TABLE: Final = "quarantine"
FACTS: Final = (
    "row_id",
    "region",
    "week",
    "file",
    "row_number",
    "code",
    "column",
    "value",
    "reason",
)
"""What an exported file says about a row beside its values; only ``row_id`` is read back."""

SourceNames = Annotated[list[str] | None, typer.Option("--source", help="Only these sources.")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="Only rows refused for this.")]
Week = Annotated[str | None, typer.Option(help="Monday of one week of delivery.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document.")]
Who = Annotated[str | None, typer.Option(help="Who decides; default: the user of this machine.")]
NoRun = Annotated[
    bool, typer.Option("--no-run", help="Only keep the decision, and print what to run.")
]


@app.command("list")
def list_rows(
    *,
    source: SourceNames = None,
    region: Regions = None,
    week: Week = None,
    code: Codes = None,
    as_json: Json = False,
) -> None:
    """Count refused rows by source, region, week and code, the newest week first.

    [bold]Example[/]

    forecast-platform quarantine list --source shipments --code out_of_bounds
    """
    with plain_errors():
        rows = _read(source, region, week, code)
    by = ["week", "region", "source", "code"]
    counted = rows.groupby(by, as_index=False).agg(rows=("row_number", "size"))
    counted = counted.sort_values(by, ascending=[False, True, True, True])
    if as_json:
        out.file.write(counted.to_json(orient="records", date_format="iso", indent=2) + "\n")
        return
    table = compact_table(by, ["rows"])
    for one in counted.itertuples(index=False):
        table.add_row(*(_text(value) for value in one))
    out.print(table)
    err.print(
        f"{len(rows):,} rows are in quarantine; forecast-platform quarantine show --help",
        highlight=False,
    )


@app.command()
def show(
    *,
    source: SourceNames = None,
    region: Regions = None,
    week: Week = None,
    code: Codes = None,
    limit: Annotated[int, typer.Option(help="Rows on the screen.", min=1)] = 10,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write all rows of one source to a file to mend.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show refused rows: where they came from, what is wrong, the row as it was delivered.

    With [bold]--csv[/] they are written to a file that can be edited: mend the values in the
    columns after [bold]reason[/] and give the file to [bold]quarantine replay[/]. Leave
    [bold]row_id[/] as it is; rows without a change are left alone. Text that a spreadsheet would
    run as a formula gets a leading apostrophe, which is taken off again.

    [bold]Example[/]

    forecast-platform quarantine show --source shipments --week 2024-12-30 --csv mend.csv
    """
    with plain_errors():
        rows = _read(source, region, week, code)
    if csv is not None:
        _export(rows, csv)
    elif as_json:
        out.file.write(rows.to_json(orient="records", date_format="iso", indent=2) + "\n")
    else:
        _print_rows(rows, limit)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Exported by quarantine show --csv, and mended.")],
    *,
    who: Who = None,
    why: Annotated[str, typer.Option(help="Why the rows are right now.")] = "",
    no_run: NoRun = False,
) -> None:
    """Take mended rows instead of the refused ones, from now on, and run their region-weeks.

    The rows are kept in the lake (table [bold]replayed_rows[/]), never in the landing area. They
    count as long as the delivered file stays the same, also when a week is run again. A mended
    row that still breaks the contract is refused again, with its reason. Replaying the same file
    twice changes nothing.

    [bold]Example[/]

    forecast-platform quarantine replay mend.csv --why "cases, not units"
    """
    from forecast_platform.schemas.quality import Mending

    if not file.is_file():
        refuse(f"there is no file {file}")
    with plain_errors():
        _decide(_mended(file), Mending.REPLAY, who, why, run=not no_run)


@app.command()
def discard(
    row_id: Annotated[list[str], typer.Argument(help="Identifiers that quarantine show prints.")],
    *,
    why: Annotated[str, typer.Option(help="Why the rows are not needed.")],
    who: Who = None,
    no_run: NoRun = False,
) -> None:
    """Do without refused rows: they stay in quarantine and count no longer as refused.

    [bold]Example[/]

    forecast-platform quarantine discard 3f0c9b... --why "a test store"
    """
    from forecast_platform.schemas.quality import Mending

    with plain_errors():
        _decide({one: {} for one in row_id}, Mending.DISCARD, who, why, run=not no_run)


def _read(
    source: Sequence[str] | None,
    region: Sequence[str] | None,
    week: str | None,
    code: Sequence[str] | None,
) -> "pd.DataFrame":
    """Read the rows in quarantine that fit; leave when there are none."""
    from forecast_platform.launching.instance import open_instance, open_lake, registered_regions
    from forecast_platform.settings import get_settings

    settings = get_settings()
    with open_instance(settings) as instance:
        wanted = choose_regions(names(region), registered_regions(instance))
    monday = read_week(week, settings) if week else None
    lake = open_lake(settings)
    if not lake.exists(TABLE):
        stop("nothing was taken in yet: forecast-platform run", ExitCode.FAILED)
    weeks = None if monday is None else [monday]
    rows = lake.read(TABLE, region=wanted, weeks=weeks)
    for column, values in (("source", names(source)), ("code", names(code))):
        if values:
            rows = rows[rows[column].isin(values)]
    if rows.empty:
        narrowed = source or region or week or code
        told = "no row in quarantine fits" if narrowed else "no row is in quarantine"
        stop(told, ExitCode.FAILED)
    return _with_ids(rows).sort_values(
        ["week", "region", "source", "file", "row_number"],
        ascending=[False, True, True, True, True],
        ignore_index=True,
    )


def _with_ids(rows: "pd.DataFrame") -> "pd.DataFrame":
    from forecast_platform.resources.replays import place_of

    ids = [place_of(one).row_id for one in rows.to_dict("records")]
    return rows.assign(row_id=ids)


def _print_rows(rows: "pd.DataFrame", limit: int) -> None:
    for one in rows.head(limit).to_dict("records"):
        out.print(
            f"{one['row_id']}  {one['source']} {one['region']} {_text(one['week'])}  "
            f"{one['file']} row {one['row_number']}\n"
            f"    {one['code']}: {one['column']} {one['value']!r} {one['reason']}\n"
            f"    {one['row_json']}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    hidden = len(rows) - limit
    more = f"; {hidden:,} more: --limit, or --csv" if hidden > 0 else ""
    err.print(f"{len(rows):,} rows{more}.", highlight=False)


def _export(rows: "pd.DataFrame", path: Path) -> None:
    import pandas as pd

    sources = sorted(rows["source"].unique())
    if len(sources) > 1:
        refuse(f"rows of {', '.join(sources)} have other columns: name one by --source")
    values = pd.DataFrame([_values(str(text)) for text in rows["row_json"]], index=rows.index)
    table = pd.concat([rows[list(FACTS)], values], axis=1).fillna("").astype("str").map(_escaped)
    table["week"] = [_text(week) for week in rows["week"]]
    table.insert(1, "source", sources[0])
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        stop(f"{path} cannot be written: {error.strerror}", ExitCode.FAILED)
    err.print(
        f"{len(table):,} rows are in {path}: mend the columns after `reason`, then "
        f"forecast-platform quarantine replay {path}",
        highlight=False,
        soft_wrap=True,
    )


def _values(text: str) -> dict[str, str | None]:
    """Read a row as it was delivered; what was missing is None, however it was written."""
    import json

    found = json.loads(text)
    return {
        name: None if value is None or value != value else str(value)  # noqa: PLR0124 - NaN
        for name, value in found.items()
    }


def _escaped(text: str) -> str:
    """Keep a spreadsheet from running text; numbers are harmless.

    >>> [_escaped(text) for text in ("=1+1", "-5", "'x", "S1")]
    ["'=1+1", '-5', "''x", 'S1']
    """
    from forecast_platform.cli.forecast import FORMULA_STARTS

    risky = text.startswith(FORMULA_STARTS) and not text[1:].replace(".", "", 1).isdigit()
    return f"'{text}" if risky or text.startswith("'") else text


def _plain(text: str) -> str:
    """Undo `_escaped`.

    >>> [_plain(text) for text in ("'=1+1", "-5", "''x", "S1")]
    ['=1+1', '-5', "'x", 'S1']
    """
    from forecast_platform.cli.forecast import FORMULA_STARTS

    return (
        text[1:] if text.startswith("'") and text[1:].startswith((*FORMULA_STARTS, "'")) else text
    )


def _mended(path: Path) -> dict[str, dict[str, str]]:
    """Read the values of each row of a mended file, by its identifier."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        stop(f"{path} cannot be read: {error}", ExitCode.FAILED)
    if "row_id" not in table.columns:
        refuse(f"{path} has no column row_id: it must come from quarantine show --csv")
    repeated = table["row_id"][table["row_id"].duplicated()]
    if len(repeated):
        refuse(f"{path}: row_id {repeated.iloc[0]} is there twice")
    table = table.set_index("row_id")
    values = table.drop(columns=[*FACTS, "source"], errors="ignore").map(_plain)
    return {str(one): {str(k): v for k, v in row.items()} for one, row in values.iterrows()}


def _decide(
    asked: Mapping[str, Mapping[str, str]],
    action: "Mending",
    who: str | None,
    why: str,
    *,
    run: bool,
) -> None:
    """Keep what was decided, then bring the region-weeks concerned up to date."""
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.resources import replays
    from forecast_platform.resources.replays import Decision
    from forecast_platform.schemas.quality import Mending
    from forecast_platform.settings import get_settings

    settings = get_settings()
    lake = open_lake(settings)
    known = _known_rows(lake)
    unknown = sorted(set(asked) - set(known))
    if unknown:
        refuse(
            f"{len(unknown)} rows are in quarantine no longer, such as {unknown[0]}: their file "
            "was delivered anew or they were never refused; export again. Nothing was done"
        )
    moment = datetime.now(UTC).isoformat(timespec="microseconds")  # noqa: TID251 - passed on
    decisions: list[Decision] = []
    for one, values in asked.items():
        place, before = known[one]
        after = {name: values[name] or None for name in before if name in values}
        if action is Mending.REPLAY and after == {name: before[name] for name in after}:
            continue
        row = before | after
        decisions.append(Decision(place, action, row, who or getpass.getuser(), why or "-", moment))
    n_new = replays.record(lake, decisions, run_id=f"quarantine-{uuid.uuid4()}")
    err.print(
        f"{n_new} rows kept, {len(asked) - len(decisions)} without a change, "
        f"{len(decisions) - n_new} known before.",
        highlight=False,
    )
    _bring_up_to_date(settings, [known[one][0].key for one in asked], run=run)


def _known_rows(lake: "Lake") -> dict[str, tuple[Any, dict[str, str | None]]]:
    """Rows that can be decided about: those in quarantine, and those decided about before."""
    from forecast_platform.resources import replays

    found: dict[str, tuple[Any, dict[str, str | None]]] = {}
    for table in (replays.TABLE, TABLE):
        if not lake.exists(table):
            continue
        rows = lake.read(table)
        if "decided_at" in rows:
            rows = rows.sort_values("decided_at")
        for one in rows.to_dict("records"):
            place = replays.place_of(one)
            found[place.row_id] = (place, _values(str(one["row_json"])))
    return found


def _bring_up_to_date(settings: "Settings", keys: "Sequence[RegionWeek]", *, run: bool) -> None:
    """Run the data stages of some region-weeks, or print the commands that do."""
    from forecast_platform.automation.jobs import DATA_GROUPS
    from forecast_platform.launching.boxes import Box
    from forecast_platform.launching.instance import prepare_home

    by_region: dict[str, list[pd.Timestamp]] = defaultdict(list)
    for region, week in sorted(set(keys)):
        by_region[region].append(week)
    chains = [
        [Box((region,), week, week, DATA_GROUPS) for week in weeks]
        for region, weeks in by_region.items()
    ]
    if not chains:
        return
    if not run:
        for chain in chains:
            for box in chain:
                out.print(
                    f"forecast-platform run --region {box.regions[0]} "
                    f"--week {box.first_week:%Y-%m-%d} --select data",
                    highlight=False,
                    soft_wrap=True,
                )
        return
    outcomes = launch_with_progress(chains, prepare_home(settings), 1)
    report(outcomes)
    if not all(outcome.succeeded for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILED)


def _text(value: object) -> str:
    import pandas as pd

    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else str(value)
