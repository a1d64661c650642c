"""The report of the speed benchmark: Markdown tables and the same as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FEATURE_GOAL, NET_GOAL, MEMORY_GOAL = 300_000, 150_000, 3.0
FLAT_GOAL, BARE_GOAL = 0.25, 3.0

_NOTES = (
    "CPU seconds of one thread; every line is a process of its own. Rows are training rows of one "
    "segment with all features; memory is the peak above the loaded libraries, the rows themselves "
    "included. Growth is the time per row of the most rows over that of the fewest, less one."
)


def write(features: Sequence[Any], models: Sequence[Any], folder: Path) -> str:
    """Write report.md and report.json, and return the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    goals = judged(features, models)
    text = "\n\n".join(
        [
            "# Speed benchmark",
            _NOTES,
            _features_table(features),
            _models_table(models),
            _scaling_table(models),
            _goals_table(goals),
        ]
    )
    (folder / "report.md").write_text(text + "\n", encoding="utf-8")
    whole = {"features": features, "models": models, "goals": goals}
    (folder / "report.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return text


def judged(features: Sequence[Any], models: Sequence[Any]) -> list[dict[str, Any]]:
    """Hold what was measured against the goals, the largest sizes first."""
    goals = [
        _goal(one["name"] + " [rows/s]", one["rows_per_second"], FEATURE_GOAL, least=True)
        for one in features
    ]
    of = _largest(models)
    if "net" in of:
        net = of["net"]
        goals.append(
            _goal("net [row epochs/s]", net["row_epochs_per_second"], NET_GOAL, least=True)
        )
        goals.append(_goal("net over bare products", net["over_bare"], BARE_GOAL))
    if "lasso" in of:
        lasso = of["lasso"]
        goals.append(_goal("LASSO path [s]", lasso["path_seconds"], lasso["path_goal_seconds"]))
        whole = lasso["train_seconds"]
        goals.append(_goal("LASSO whole fit [s]", whole, lasso["path_goal_seconds"]))
    for name in ("lasso", "net", "ensemble"):
        if name in of:
            goals.append(_goal(f"{name} memory over matrix", of[name]["peak_ratio"], MEMORY_GOAL))
            goals.append(_goal(f"{name} growth of time per row", growth(models, name), FLAT_GOAL))
            if "lightgbm" in of:
                ratio = of[name]["train_seconds"] / of["lightgbm"]["train_seconds"]
                goals.append(_goal(f"{name} over LightGBM", ratio, 1.0))
    return goals


def growth(models: Sequence[Any], name: str) -> float:
    """Return the time per row of the most rows over that of the fewest, less one."""
    each = {
        one["rows"]: one["train_seconds"] / one["rows"] for one in models if one["model"] == name
    }
    return each[max(each)] / each[min(each)] - 1


def _largest(models: Sequence[Any]) -> dict[str, Any]:
    return {one["model"]: one for one in sorted(models, key=lambda one: one["rows"])}


def _goal(name: str, value: float, goal: float, *, least: bool = False) -> dict[str, Any]:
    met = value >= goal if least else value <= goal
    return {"name": name, "value": value, "goal": goal, "at": "least" if least else "most"} | {
        "met": bool(met)
    }


def _features_table(features: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        "| features | series | history weeks | cutoffs | rows | s | rows/s | history rows/s |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    rows += [
        f"| {one['name']} | {one['series']:,} | {one['history_weeks']} | {one['cutoffs']} | "
        f"{one['rows']:,} | {one['seconds']:.2f} | {one['rows_per_second']:,.0f} | "
        f"{one['history_rows_per_second']:,.0f} |"
        for one in features
    ]
    return "\n".join(rows)


def _models_table(models: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        _header("model", "rows", "train s", "rows/s", "over LightGBM", "score rows/s", "peak MiB")
        + " over matrix |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    peers = {one["rows"]: one["train_seconds"] for one in models if one["model"] == "lightgbm"}
    for one in models:
        peer = peers.get(one["rows"])
        ratio = f"{one['train_seconds'] / peer:.2f}" if peer else ""
        rows.append(
            f"| {one['model']} | {one['rows']:,} | {one['train_seconds']:.2f} | "
            f"{one['train_rows_per_second']:,.0f} | {ratio} | "
            f"{one['score_rows_per_second']:,.0f} | {one['peak_mib']:.0f} | "
            f"{one['peak_ratio']:.2f} |"
        )
    return "\n".join(rows)


def _scaling_table(models: Sequence[Mapping[str, Any]]) -> str:
    sizes = sorted({one["rows"] for one in models})
    rows = [
        "| us per row | " + " | ".join(f"{n:,}" for n in sizes) + " |",
        "| --- |" + " --: |" * len(sizes),
    ]
    for name in dict.fromkeys(one["model"] for one in models):
        each = {one["rows"]: one["train_seconds"] for one in models if one["model"] == name}
        cells = [f"{1e6 * each[n] / n:.2f}" if n in each else "" for n in sizes]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _goals_table(goals: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"| {one['name']} | {one['value']:,.2f} | {one['at']} | {one['goal']:,.2f} | "
        f"{'yes' if one['met'] else 'no'} |"
        for one in goals
    ]
    head = ["| goal | measured | at | goal | met |", "| --- | --: | --- | --: | --- |"]
    return "\n".join([*head, *rows])


def _header(*names: str) -> str:
    return "| " + " | ".join(names) + " |"
