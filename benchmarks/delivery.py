"""A large CSV the whole way to the marts: seconds and peak memory of a process for each step.

The steps are taking it in (file to raw table) and conditioning it (raw tables to marts, dbt's tests
among it). Run as ``python -m benchmarks.delivery [ROWS]``.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import peak_mib

ROWS: Final = 5_000_000
STORES: Final = 2_000
WEEK: Final = "2024-01-01"
GOAL_MB: Final = 2_000


def measure(rows: int = ROWS) -> dict[str, Any]:
    """Take in and condition a generated shipments CSV of one region-week.

    Parameters
    ----------
    rows : int, default=ROWS
        At least `STORES`; rounded down to a whole number of products per store.

    Returns
    -------
    dict
        Of ``take_in`` and of ``condition``: ``rows``, ``seconds``, ``cpu_seconds``, ``peak_mb``
        and ``base_mb``, the peak before the run.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        _write(Path(home, "landing"), rows // STORES)
        steps = {name: _in_process(name, home) for name in _STEPS}
    return {**steps, "goal_mb": GOAL_MB}


def _in_process(step: str, home: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.delivery", step, home]
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _write(landing: Path, products: int) -> None:
    with _open(landing, "shipments") as out:
        out.write("store_id,product_id,week,units_shipped\n")
        for store in range(STORES):
            out.writelines(
                f"S{store:04d},P{product:05d},{WEEK},{(store * 31 + product * 17) % 499}\n"
                for product in range(products)
            )
    with _open(landing, "stores") as out:
        out.write("store_id,zip,format,opened_on\n")
        out.writelines(f"S{store:04d},75001,large,2015-01-01\n" for store in range(STORES))
    with _open(landing, "products") as out:
        out.write("product_id,category,launched_on\n")
        out.writelines(f"P{product:05d},bread,2015-01-01\n" for product in range(products))


def _open(landing: Path, source: str) -> Any:
    file = landing / source / "north" / WEEK / f"{source}.csv"
    file.parent.mkdir(parents=True)
    return file.open("w", encoding="utf-8")


def _take_in(home: str) -> dict[str, Any]:
    from forecast_platform.assets.raw import raw_assets
    from forecast_platform.resources.lake import Lake

    wanted = {"raw_shipments", "raw_stores", "raw_products"}
    found = _timed(home, [one for one in raw_assets if one.key.path[-1] in wanted])
    ledger = Lake(uri=f"{home}/lake").read("row_ledger", where={"source": "shipments"})
    return {**found, "rows": int(ledger["rows_accepted"].sum())}


def _condition(home: str) -> dict[str, Any]:
    from forecast_platform.assets.conditioned import conditioned_assets
    from forecast_platform.resources.lake import Lake

    found = _timed(home, conditioned_assets)
    rows = Lake(uri=f"{home}/lake").read_arrow("fct_weekly_demand", columns=["week"])
    return {**found, "rows": rows.num_rows}


def _timed(home: str, assets: Any) -> dict[str, Any]:
    import dagster as dg

    from forecast_platform.resources.conditioning import Conditioning
    from forecast_platform.resources.lake import Lake
    from forecast_platform.resources.landing import Landing

    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("region", ["north"])
    base = peak_mib()
    started, cpu = time.perf_counter(), time.process_time()
    dg.materialize(
        assets,
        instance=instance,
        resources={
            "landing": Landing(uri=f"{home}/landing"),
            "lake": Lake(uri=f"{home}/lake"),
            "conditioning": Conditioning(),
        },
        partition_key=f"north|{WEEK}",
    )
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": peak_mib(),
        "base_mb": base,
    }


_STEPS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "take_in": _take_in,
    "condition": _condition,
}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(_STEPS[sys.argv[1]](sys.argv[2])))
    else:
        print(json.dumps(measure(*map(int, sys.argv[1:2])), indent=2))
