"""The report: one table of all models on the same rows, the spread over folds, a paired test.

Only numbers that were measured are written; forecasts are made elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast_platform.forecasting.evaluation.coverage import COVERAGE_80, PINBALL, range_scores
from forecast_platform.forecasting.evaluation.metrics import mape, measure
from forecast_platform.vocabulary import (
    CUTOFF,
    ENSEMBLE,
    HISTORICAL_AVERAGE,
    QUANTILES,
    UNIQUE_ID,
    VELOCITY,
    Y,
)

DRAWS = 2000
INTERVAL = ("ensemble_10", "ensemble_50", "ensemble_90")
"""Columns of the ensemble's quantiles, in the order of `QUANTILES`."""


@dataclass(frozen=True)
class Result:
    """What was measured on one data set.

    Parameters
    ----------
    name, about : str
    rows : pandas.DataFrame
        One row per forecast: keys, ``y`` and a column per model [units].
    costs : mapping of str to mapping
        Seconds and memory by model.
    published : mapping of str to str
    """

    name: str
    about: str
    rows: pd.DataFrame
    costs: Mapping[str, Mapping[str, float]]
    published: Mapping[str, str]
    models: Sequence[str]

    def scores(self) -> pd.DataFrame:
        """Measure every model over all rows, and its spread over folds."""
        table = []
        for model in self.models:
            folds = [mape(fold[Y], fold[model]) for _, fold in self.rows.groupby(CUTOFF, sort=True)]
            scored = measure(self.rows[Y], self.rows[model])
            spread = float(np.std(folds, ddof=1)) if len(folds) > 1 else float("nan")
            table.append(
                {"model": model, **scored, "fold_sd": spread, "folds": folds}
                | dict(self.costs.get(model, {}))
            )
        return pd.DataFrame(table)

    def compared(self) -> pd.DataFrame:
        """Compare the ensemble with every other model: difference of MAPE, interval, p."""
        others = [model for model in self.models if model != ENSEMBLE]
        return pd.DataFrame([paired(self.rows, ENSEMBLE, other) for other in others])

    def by(self, column: str) -> pd.DataFrame:
        """Measure the MAPE of every model per value of a column, in percent."""
        return pd.DataFrame(
            {
                str(value): {m: 100 * mape(part[Y], part[m]) for m in self.models}
                for value, part in self.rows.groupby(column, observed=True)
            }
        )


def paired(rows: pd.DataFrame, ours: str, other: str, *, draws: int = DRAWS) -> dict[str, Any]:
    """Test the difference of two MAPEs by a bootstrap over folds and series at once.

    Both are drawn with replacement: errors of one series and of one week are alike, so rows alone
    would promise too much.

    Returns
    -------
    dict
        ``model``, ``difference`` (of ours to the other, below 0 is better), ``low`` and ``high``
        of its 95 % interval, two-sided ``p``, and ``folds_won``.
    """
    known = rows[rows[Y] > 0]
    errors = (known[ours] - known[Y]).abs() / known[Y] - (known[other] - known[Y]).abs() / known[Y]
    fold, folds = pd.factorize(known[CUTOFF], sort=True)
    one, series = pd.factorize(known[UNIQUE_ID], sort=True)
    shape = (len(folds), len(series))
    cell = fold * shape[1] + one
    total = np.bincount(cell, errors, shape[0] * shape[1]).reshape(shape)
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    rng = np.random.default_rng(0)
    a = rng.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), draws)
    b = rng.multinomial(shape[1], np.full(shape[1], 1 / shape[1]), draws)
    n = np.einsum("df,fs,ds->d", a, count, b, optimize=True)
    drawn = np.einsum("df,fs,ds->d", a, total, b, optimize=True) / np.maximum(n, 1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    share = min(float((drawn >= 0).mean()), float((drawn <= 0).mean()))
    return {
        "model": other,
        "difference": float(errors.mean()),
        "low": float(low),
        "high": float(high),
        "p": min(1.0, 2 * max(share, 1 / draws)),
        "folds_won": f"{int((total.sum(axis=1) < 0).sum())} of {shape[0]}",
    }


def write(results: Sequence[Result], folder: Path, *, further: Sequence[str] = ()) -> Path:
    """Write report.md, report.json and a chart per set; return the Markdown's path.

    ``further`` are sections in Markdown that are put behind the sets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts, whole = ["# Accuracy benchmark", _NOTES], {}
    for result in results:
        scores, compared = result.scores(), result.compared()
        whole[result.name] = {
            "scores": json.loads(scores.to_json(orient="records")),
            "paired": json.loads(compared.to_json(orient="records")),
            "by_velocity": json.loads(result.by("velocity").to_json()),
            "published": dict(result.published),
            **ranges(result),
        }
        parts += [f"## {result.name}", result.about, scores_table(scores), _published(result)]
        parts += ["Paired: the ensemble's MAPE x 100 less the other's.", paired_table(compared)]
        parts += ["MAPE x 100 by velocity.", _markdown(result.by("velocity").round(1).T)]
        parts += [range_table(result), _told(result), f"![MAPE by fold]({result.name}.svg)"]
        chart(result, folder / f"{result.name}.svg")
    report = folder / "report.md"
    text = "\n\n".join(part for part in (*parts, *further) if part)
    report.write_text(text + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return report


_NOTES = (
    "All models forecast the same rows, with the same known ahead. MAPE over rows with demand; "
    "`historical_average` is the arithmetic mean of all known weeks of a series, "
    "`historical_average_geometric` that of log1p. `ensemble` aims at MAPE, which rewards "
    "forecasting low; `ensemble_mean` at the mean: read bias beside MAPE. Seconds are CPU seconds "
    "per fold; of the peers without tuning, of the ensemble with its validation folds. `lasso` and "
    "`net` are trained within the ensemble, so their cost is the ensemble's. Memory is the largest "
    "of the process, data and libraries included."
)


def scores_table(scores: pd.DataFrame) -> str:
    """Return the table of scores in Markdown; MAPE, WAPE and bias x 100."""
    shown = pd.DataFrame({"model": scores["model"]})
    for name, title in (("mape", "MAPE x 100"), ("wape", "WAPE"), ("bias", "bias")):
        shown[title] = (100 * scores[name]).map("{:.2f}".format)
        if name == "mape":
            shown["sd over folds"] = (100 * scores["fold_sd"]).map("{:.2f}".format)
    for name, title in (("rmse_0", "RMSE-0"), ("rmse_all", "RMSE-all")):
        shown[title] = scores[name].map("{:.1f}".format)
    for name, title in (("train_seconds", "train s"), ("score_seconds", "score s")):
        shown[title] = scores[name].map("{:.2f}".format) if name in scores else ""
    shown["peak MiB"] = scores["peak_mib"].map("{:.0f}".format) if "peak_mib" in scores else ""
    columns = ["model", "MAPE x 100", "WAPE", "RMSE-0", "RMSE-all", "bias", "train s", "score s"]
    return _markdown(shown[[*columns, "peak MiB", "sd over folds"]].replace("nan", ""), index=False)


def paired_table(compared: pd.DataFrame) -> str:
    """Return the paired comparisons in Markdown."""
    shown = pd.DataFrame({"model": compared["model"]})
    shown["difference"] = (100 * compared["difference"]).map("{:+.2f}".format)
    low, high = 100 * compared["low"], 100 * compared["high"]
    shown["95 %"] = [f"{a:+.2f} .. {b:+.2f}" for a, b in zip(low, high, strict=True)]
    shown["p"] = compared["p"].map("{:.3f}".format)
    shown["folds won"] = compared["folds_won"]
    return _markdown(shown, index=False)


def _published(result: Result) -> str:
    rows = [f"{name}: {value}" for name, value in result.published.items()]
    return f"Published on these rounds (MAPE x 100): {'; '.join(rows)}." if rows else ""


def ranges(result: Result) -> dict[str, Any]:
    """Measure the ensemble's range: over all rows, by velocity and by fold; {} without one.

    Returns
    -------
    dict
        ``coverage_80``, ``width`` (mean distance of the 10 and 90 % quantiles over mean demand) and
        ``pinball`` (see `range_scores`) of ``all``, of each velocity, and of ``folds``, a list.
    """
    if not set(INTERVAL) <= set(result.rows.columns):
        return {}
    rows = result.rows.rename(columns=dict(zip(INTERVAL, QUANTILES, strict=True)))
    groups = {str(name): _range_of(own) for name, own in rows.groupby(VELOCITY, observed=True)}
    folds = [_range_of(own) for _, own in rows.groupby(CUTOFF, sort=True)]
    return {"range": {"all": _range_of(rows), **groups, "folds": folds}}


def _range_of(rows: pd.DataFrame) -> dict[str, float]:
    low, *_, high = QUANTILES
    width = (rows[high] - rows[low]).mean() / rows[Y].mean()
    return {**range_scores(rows), "width": float(width)}


def _told(result: Result) -> str:
    lines = []
    if HISTORICAL_AVERAGE in result.rows:
        ours, average = (
            mape(result.rows[Y], result.rows[name]) for name in (ENSEMBLE, HISTORICAL_AVERAGE)
        )
        lines.append(f"The ensemble is {1 - ours / average:.0%} below the historical average.")
    if "oracle" in result.rows:
        by = result.by("velocity")
        ratios = [f"{name} {by.loc[ENSEMBLE, name] / by.loc['oracle', name]:.2f}" for name in by]
        lines.append(f"MAPE over the oracle's: {', '.join(ratios)}.")
    return " ".join(lines)


def range_table(result: Result) -> str:
    """Return what the 80 % range covers, its width and its pinball loss in Markdown; or nothing."""
    found = ranges(result).get("range")
    if not found:
        return ""
    folds = sorted(found["folds"], key=lambda fold: fold[COVERAGE_80])
    shown = {name: own for name, own in found.items() if name != "folds"}
    shown |= {"fold covered least": folds[0], "fold covered most": folds[-1]}
    table = pd.DataFrame(shown).T
    table[COVERAGE_80] = (100 * table[COVERAGE_80]).map("{:.1f} %".format)
    table["width"] = table["width"].map("{:.2f}".format)
    table[PINBALL] = table[PINBALL].map("{:.4f}".format)
    titles = {
        COVERAGE_80: "80 % range covers",
        "width": "mean width / mean demand",
        PINBALL: "pinball / mean demand",
    }
    table = table.rename(columns=titles)[list(titles.values())].reset_index(names="rows")
    return "The ensemble's range.\n\n" + _markdown(table, index=False)


def _markdown(table: pd.DataFrame, *, index: bool = True) -> str:
    return table.to_markdown(index=index, disable_numparse=not index)


def chart(result: Result, file: Path) -> None:
    """Draw each model's MAPE over all rows, with a dot per fold."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    scores = result.scores().sort_values("mape", ascending=False, ignore_index=True)
    figure = Figure(figsize=(8, 0.38 * len(scores) + 1.2), layout="constrained")
    axes = figure.subplots()
    colours = ["#1f6f8b" if n.startswith(ENSEMBLE) else "#b8c4cc" for n in scores["model"]]
    axes.barh(scores["model"], 100 * scores["mape"], color=colours)
    for row, folds in enumerate(scores["folds"]):
        axes.plot([100 * one for one in folds], [row] * len(folds), ".", color="#333333", ms=4)
    axes.set_xlabel("MAPE x 100; a dot is a fold")
    axes.set_title(result.name)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
