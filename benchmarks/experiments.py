"""How often the sequential test errs and how soon it decides: `python -m benchmarks.experiments`.

With ``--forecasts FILE``, a Parquet file of ``unique_id``, ``ds``, ``y`` and ``y_hat``, the errors
are those of real forecasts, spoilt by noise of the size that makes them 5 % worse.

Simulates weekly errors of two arms over stores and products, with what makes real ones hard: weeks
and stores that are hard for both, errors of a model that persist, heavy tails; and looks after
every week. What was measured stands in docs/experiments.md.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.experiments.losses import weekly_losses
from forecast_platform.forecasting.experiments.sequential import SequentialTest

RUNS = 1000
WEEKS = 104


@dataclass(frozen=True)
class Panel:
    """What is simulated.

    Parameters
    ----------
    stores, products : int
        Series of an experiment.
    persistence : float
        Correlation from week to week of the error that a model makes on a series.
    tails : float
        Degrees of freedom of the noise; 3 is very heavy.
    worse : float
        By how much the errors that are B's own are larger than A's [fraction].
    """

    stores: int = 12
    products: int = 10
    persistence: float = 0.5
    tails: float = 30.0
    worse: float = 0.0

    def differences(
        self, rng: np.random.Generator, runs: int, weeks: int
    ) -> tuple[NDArray[np.float64], float]:
        """Draw weekly relative differences of shape (runs, weeks), and the true one of MAPE."""
        shape = (runs, self.stores, self.products)
        own = [0.15 * rng.normal(size=shape), 0.15 * (1 + self.worse) * rng.normal(size=shape)]
        found, sums = np.empty((runs, weeks)), np.zeros(2)
        for week in range(weeks):
            hard = np.exp(0.3 * rng.normal(size=(runs, 1, 1)))
            store = 0.15 * rng.normal(size=(runs, self.stores, 1))
            noise = hard * (store + 0.3 * rng.standard_t(self.tails, size=shape))
            own = [
                self.persistence * one
                + np.sqrt(1 - self.persistence**2) * 0.15 * scale * rng.normal(size=shape)
                for one, scale in zip(own, (1.0, 1 + self.worse), strict=True)
            ]
            losses = [np.abs(np.expm1(one - noise)).mean(axis=(1, 2)) for one in own]
            found[:, week] = 2 * (losses[1] - losses[0]) / (losses[0] + losses[1])
            sums += [loss.sum() for loss in losses]
        return found, float(sums[1] / sums[0] - 1)


def share_decided(test: SequentialTest, differences: NDArray[np.float64]) -> float:
    """Say in which share of runs somebody who looks every week is told of a winner."""
    return float((test.winners(*test.intervals(differences)) != 0).any(axis=-1).mean())


def weeks_needed(test: SequentialTest, differences: NDArray[np.float64]) -> tuple[float, float]:
    """Median and 90th percentile of the weeks until the right winner is told; inf for never."""
    is_right = test.winners(*test.intervals(differences)) == 1
    first = np.where(is_right.any(axis=-1), is_right.argmax(axis=-1) + 1.0, np.inf)
    return tuple(float(np.quantile(first, q, method="higher")) for q in (0.5, 0.9))  # type: ignore[return-value]


def correlation(differences: NDArray[np.float64]) -> float:
    """Correlation of consecutive weeks, over all runs around their true mean."""
    centred = differences - differences.mean()
    return float((centred[:, 1:] * centred[:, :-1]).mean() / (centred**2).mean())


def spoilt(rows: pd.DataFrame, by: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Multiply forecasts by the noise that makes their MAPE worse by a share."""
    noise, y, y_hat = rng.normal(size=len(rows)), rows["y"], rows["y_hat"]
    base = ((y - y_hat).abs() / y).mean()
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        worse = ((y - y_hat * np.exp(middle * noise)).abs() / y).mean() / base - 1
        low, high = (middle, high) if worse < by else (low, middle)
    return (y_hat * np.exp(low * noise)).to_numpy(float)


def of_forecasts(file: Path, draws: int = 100) -> None:
    """Print what the test says of real forecasts: alike but for noise, and one 5 % worse."""
    test, rows = SequentialTest(), pd.read_parquet(file)
    rows = rows[rows["y"] > 0]
    alike, worse = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        pair = rows.assign(forecast_a=spoilt(rows, 0.05, rng), forecast_b=spoilt(rows, 0.05, rng))
        alike.append(weekly_losses(pair)["difference"].to_numpy(float))
        pair = pair.assign(forecast_a=rows["y_hat"])
        worse.append(weekly_losses(pair)["difference"].to_numpy(float))
    median, late = weeks_needed(test, np.array(worse))
    wrong = (test.winners(*test.intervals(np.array(worse))) == -1).any(axis=-1).mean()
    n_weeks = len(worse[0])
    print(f"{rows['unique_id'].nunique()} series, {n_weeks} weeks, {draws} draws")
    print(f"alike: {share_decided(test, np.array(alike)):.1%} are told of a winner")
    print(f"B 5 % worse: median {median:.0f} weeks, 90 % {late:.0f}; wrong {wrong:.1%}")


def main() -> None:
    """Print both tables, or what is measured on forecasts that were made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forecasts", type=Path)
    file = parser.parse_args().forecasts
    if file is not None:
        of_forecasts(file)
        return
    test, plain = SequentialTest(), SequentialTest(min_difference=0.0)
    print(f"A/A: {RUNS} experiments of {WEEKS} weeks, looked at every week; alpha 0.05")
    print(
        f"{'series':>7} {'persistence':>12} {'tails':>6} {'corr.':>6} {'winner':>7} {'margin 0':>9}"
    )
    for panel in (
        Panel(),
        Panel(persistence=0.0),
        Panel(persistence=0.9),
        Panel(tails=3.0),
        Panel(stores=4, products=5),
        Panel(stores=4, products=5, persistence=0.9, tails=3.0),
    ):
        found, _ = panel.differences(np.random.default_rng(0), RUNS, WEEKS)
        print(
            f"{panel.stores * panel.products:7} {panel.persistence:12} {panel.tails:6} "
            f"{correlation(found):6.2f} {share_decided(test, found):7.1%} "
            f"{share_decided(plain, found):9.1%}"
        )
    print(f"\nA/B: {RUNS} experiments; weeks until the better arm is named")
    print(f"{'series':>7} {'B is worse by':>14} {'median':>7} {'90 %':>6} {'wrong':>6}")
    for stores, worse in ((12, 0.16), (12, 0.30), (40, 0.16), (40, 0.30), (200, 0.16)):
        panel = Panel(stores=stores, worse=worse)
        found, true = panel.differences(np.random.default_rng(1), RUNS, WEEKS)
        median, late = weeks_needed(test, found)
        wrong = (test.winners(*test.intervals(found)) == -1).any(axis=-1).mean()
        print(f"{stores * 10:7} {true:14.1%} {median:7.0f} {late:6.0f} {wrong:6.1%}")


if __name__ == "__main__":
    main()
