"""How experiments are shown on the command line; the commands are in `experiments`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from forecast_platform.cli.console import compact_table, err, out

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.resources.experiments.book import Experiment


def print_started(one: "Experiment") -> None:
    """Say what was started, and how to watch it."""
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


def print_status(one: "Experiment", results: "pd.DataFrame | None") -> None:
    """Say what is known of one experiment."""
    span = f"since {one.first_week:%Y-%m-%d}"
    if one.last_week is not None:
        span = f"{one.first_week:%Y-%m-%d} to {one.last_week:%Y-%m-%d}"
    out.print(
        f"[bold]{one.name}[/] ({one.state.value}, {span}, {one.design.value}): A is "
        f"{one.a.label}, B is {one.b.label}, in {', '.join(one.segments)}",
        highlight=False,
    )
    known = described(one, results)
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


def print_list(found: "Sequence[Experiment]") -> None:
    """Print experiments, or each change of them, a line each."""
    table = compact_table(["region", "experiment", "state", "from", "to", "A", "B"], [])
    table.add_column("segments", overflow="fold", max_width=24)
    table.add_column("who: why", overflow="ellipsis", no_wrap=True, max_width=46)
    for one in found:
        promoted = f", {one.promoted} promoted" if one.promoted else ""
        table.add_row(
            one.region,
            one.name,
            f"{one.state.value}{promoted}",
            _day(one.first_week),
            _day(one.last_week),
            one.a.label,
            one.b.label,
            ", ".join(one.segments),
            escape(f"{one.who}: {one.why}"),
        )
    out.print(table)


def _day(week: "pd.Timestamp | None") -> str:
    return "-" if week is None else f"{week:%Y-%m-%d}"


def described(one: "Experiment", results: "pd.DataFrame | None") -> dict[str, Any]:
    """Describe one experiment and what is known of it in plain values."""
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
