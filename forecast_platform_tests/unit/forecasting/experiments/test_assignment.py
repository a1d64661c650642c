"""Who is served by which arm: stable, balanced, and different in every experiment."""

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.experiments.assignment import (
    arms_of_series,
    arms_of_stores,
    assign_stores,
    balance,
)

MONDAY = pd.Timestamp("2024-03-04")


def stores(n: int, seed: int = 0) -> pd.DataFrame:
    """Stores of both formats, with volumes as uneven as real ones."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "store_id": [f"S{number:04d}" for number in range(n)],
            "format": rng.choice(["large", "small"], n, p=[0.3, 0.7]),
            "volume": rng.lognormal(5, 1.2, n),
        }
    )


@pytest.mark.parametrize("n", [20, 101, 400])
@pytest.mark.parametrize("salt", ["autumn", "winter"])
def test_each_format_is_shared_evenly_in_stores_and_volume(n: int, salt: str):
    table = stores(n)

    counted = balance(table, assign_stores(table, salt))

    shares = counted.pivot_table(index="format", columns="arm", values=["n_stores", "share"])
    assert (shares["n_stores"]["A"] - shares["n_stores"]["B"]).abs().max() <= 1
    assert shares["share"].to_numpy().min() > (0.3 if n == 20 else 0.42)


def test_pairs_are_more_even_than_a_coin_for_each_store():
    def apart(arms: dict[str, str], table: pd.DataFrame) -> float:
        counted = balance(table, arms).set_index(["format", "arm"])["share"]
        return float((counted.xs("A", level="arm") - 0.5).abs().max())

    paired, drawn = [], []
    for seed in range(12):
        table = stores(60, seed)
        paired.append(apart(assign_stores(table, "autumn"), table))
        coins = arms_of_stores(table["store_id"], {}, f"autumn{seed}")
        drawn.append(apart(dict(zip(table["store_id"], coins, strict=True)), table))

    assert np.mean(paired) < np.mean(drawn) / 2


def test_the_order_of_the_rows_does_not_matter():
    table = stores(50)

    shuffled = table.sample(frac=1, random_state=1)

    assert assign_stores(table, "autumn") == assign_stores(shuffled, "autumn")


def test_another_experiment_draws_anew():
    table = stores(200)

    autumn, winter = assign_stores(table, "autumn"), assign_stores(table, "winter")

    same = np.mean([autumn[name] == winter[name] for name in autumn])
    assert 0.35 < same < 0.65


def test_a_new_store_gets_an_arm_that_stays_and_moves_nobody():
    table = stores(50)
    assigned = assign_stores(table, "autumn")
    names = [*table["store_id"], *(f"N{number}" for number in range(400))]

    first = arms_of_stores(names, assigned, "autumn")
    again = arms_of_stores(reversed(names), assigned, "autumn")

    assert list(first) == list(reversed(again))
    assert dict(zip(names[:50], first[:50], strict=True)) == assigned
    assert 0.4 < np.mean(first[50:] == "A") < 0.6


def test_a_store_without_a_volume_is_refused():
    with pytest.raises(ValueError, match="every store needs one row"):
        assign_stores(stores(4).assign(volume=np.nan), "autumn")
    with pytest.raises(ValueError, match="every store needs one row"):
        assign_stores(pd.concat([stores(2), stores(2)]), "autumn")


def test_interleaved_series_change_places_every_week():
    names = [f"S{store}/P{product}" for store in range(40) for product in range(20)]

    weeks = [arms_of_series(names, MONDAY + pd.Timedelta(weeks=k), "autumn") for k in range(4)]

    assert (weeks[0] != weeks[1]).all()
    assert (weeks[0] == weeks[2]).all()
    assert 0.45 < np.mean(weeks[0] == "A") < 0.55


def test_interleaving_gives_every_store_both_arms():
    names = [f"S{store}/P{product}" for store in range(40) for product in range(20)]

    arms = pd.DataFrame(
        {
            "store": [name.partition("/")[0] for name in names],
            "arm": arms_of_series(names, MONDAY, "autumn"),
        }
    )

    assert (arms.groupby("store")["arm"].nunique() == 2).all()
