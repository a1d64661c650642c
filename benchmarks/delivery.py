"""A large CSV through its raw asset: seconds and peak memory of a process of its own.

Run as ``python -m benchmarks.delivery [ROWS]``.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROWS: Final = 5_000_000
STORES: Final = 2_000
WEEK: Final = "2024-01-01"
GOAL_MB: Final = 2_000
MEGABYTE: Final = 1024
"""``ru_maxrss`` counts kilobytes on Linux."""


def measure(rows: int = ROWS) -> dict[str, Any]:
    """Take in a generated shipments CSV of one region-week.

    Parameters
    ----------
    rows : int, default=ROWS
        At least `STORES`; rounded down to a whole number of products per store.

    Returns
    -------
    dict
        ``rows_accepted``, ``seconds``, ``cpu_seconds``, ``peak_mb`` and ``base_mb``, the peak
        before the run.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        file = Path(home, "landing", "shipments", "north", WEEK, "shipments.csv")
        file.parent.mkdir(parents=True)
        _write(file, rows // STORES)
        command = [sys.executable, "-m", "benchmarks.delivery", "--take-in", home]
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-4000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "goal_mb": GOAL_MB}


def _write(file: Path, products: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write("store_id,product_id,week,units_shipped\n")
        for store in range(STORES):
            out.writelines(
                f"S{store:04d},P{product:05d},{WEEK},{(store * 31 + product * 17) % 499}\n"
                for product in range(products)
            )


def _take_in(home: str) -> None:
    import dagster as dg

    from forecast_platform.assets.raw import raw_assets
    from forecast_platform.resources.lake import Lake
    from forecast_platform.resources.landing import Landing

    (asset,) = [one for one in raw_assets if one.key.path[-1] == "raw_shipments"]
    lake = Lake(uri=f"{home}/lake")
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("region", ["north"])
    base = _peak()
    started, cpu = time.perf_counter(), time.process_time()
    dg.materialize(
        [asset],
        instance=instance,
        resources={"landing": Landing(uri=f"{home}/landing"), "lake": lake},
        partition_key=f"north|{WEEK}",
    )
    found = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": _peak(),
        "base_mb": base,
        "rows_accepted": int(lake.read("row_ledger")["rows_accepted"].sum()),
    }
    print(json.dumps(found))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


if __name__ == "__main__":
    if sys.argv[1:2] == ["--take-in"]:
        _take_in(sys.argv[2])
    else:
        print(json.dumps(measure(*map(int, sys.argv[1:2])), indent=2))
