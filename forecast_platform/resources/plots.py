"""Small pictures for the metadata of assets, as PNG inside markdown.

Drawn without a display and without matplotlib's global state; matplotlib is imported here at
the first use. What is plotted is decided by the asset.
"""

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 7.2, 2.6, 80
"""[inch], [inch], [dots/inch]: about 20 kB, since every picture is kept in the event log."""

ACTUAL_COLOUR, FORECAST_COLOUR, BASELINE_COLOUR = "#334155", "#0284c7", "#a8a29e"


def plot_forecast(
    actual: pd.Series,
    forecast: pd.Series,
    baseline: pd.Series,
    *,
    title: str,
    between: tuple[pd.Series, pd.Series] | None = None,
) -> dg.MarkdownMetadataValue:
    """Draw recent actuals and what is forecast after them.

    Parameters
    ----------
    actual, forecast, baseline : pandas.Series
        Units indexed by the Monday of their week [units/week].
    title : str
    between : tuple of two pandas.Series or None, default=None
        Lower and upper end of a band around the forecast [units/week].

    Returns
    -------
    dagster.MarkdownMetadataValue
        An image that Dagster's UI shows in the asset's metadata.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    joined = pd.concat([actual.tail(1), forecast])
    axes.plot(actual.index, actual, color=ACTUAL_COLOUR, label="actual")
    axes.plot(joined.index, joined, color=FORECAST_COLOUR, marker="o", ms=3, label="forecast")
    if between is not None:
        low, high = (pd.concat([actual.tail(1), end]) for end in between)
        axes.fill_between(
            low.index,
            low,
            high,
            color=FORECAST_COLOUR,
            alpha=0.15,
            lw=0,
            label="10-90 % of each series, added up",
        )
    axes.plot(baseline.index, baseline, color=BASELINE_COLOUR, ls="--", label="historical average")
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel("units per week", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, ncols=4)
    return _as_markdown(figure, title)


def _as_markdown(figure: "Figure", title: str) -> dg.MarkdownMetadataValue:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    encoded = b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")
