"""Conditioning of one region-week of 200 stores x 100 products, and of 52 in one call.

The peer of the range is the same weeks one by one: some of them are measured and scaled. Each side
runs in a process of its own, after one region-week to warm up, and tells its peak memory.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import peak_mib

STORES, PRODUCTS, WEEKS = 200, 100, 52
SINGLES: Final = 3
"""Weeks that are conditioned one by one; 52 of them would take minutes and say the same."""

GOAL: Final = 0.15
REGION: Final = "north"


@dataclass(frozen=True)
class Run:
    """What one process measured.

    Attributes
    ----------
    seconds, cpu_seconds : float
        Of one call, the median of several where there were several [s].
    peak_mb, base_mb : float
        Peak memory of the process, and before the measured calls [MB].
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    base_mb: float


def measure(
    *, stores: int = STORES, products: int = PRODUCTS, weeks: int = WEEKS
) -> dict[str, Any]:
    """Condition a range and some single weeks; say what 52 singles would take."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        _in_process(home, "prepare", stores, products, weeks)
        whole = Run(**_in_process(home, "range", stores, products, weeks))
        one = Run(**_in_process(home, "single", stores, products, weeks))
    return {
        "stores": stores,
        "products": products,
        "weeks": weeks,
        "range": vars(whole),
        "single": vars(one),
        "singles_measured": SINGLES,
        "ratio": whole.seconds / (weeks * one.seconds),
        "ratio_cpu": whole.cpu_seconds / (weeks * one.cpu_seconds),
        "goal": GOAL,
    }


def _in_process(home: str, what: str, *size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.conditioning", home, what, *map(str, size)]
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _main(home: str, what: str, *size: str) -> None:
    stores, products, n_weeks = map(int, size)
    config = _retailer(stores, products, n_weeks)
    weeks = [f"{config.first_week + timedelta(weeks=n)}" for n in range(n_weeks)]
    if what == "prepare":
        _prepare(Path(home), config, weeks)
        print(json.dumps({}))
        return
    _condition(home, weeks[:1])
    base = peak_mib()
    calls = [weeks] if what == "range" else [[week] for week in weeks[-SINGLES:]]
    taken = [_timed(home, one) for one in calls]
    seconds, cpu = (statistics.median(side) for side in zip(*taken, strict=True))
    print(json.dumps(vars(Run(seconds, cpu, peak_mib(), base))))


def _retailer(stores: int, products: int, weeks: int) -> Any:
    from forecast_platform.simulation import RetailerConfig

    return RetailerConfig(
        regions=(REGION,), stores_per_region=stores, products=products, n_weeks=weeks
    )


def _prepare(home: Path, config: Any, weeks: Sequence[str]) -> None:
    """Deliver the files and take them in."""
    from forecast_platform.assets import raw
    from forecast_platform.simulation import simulate

    simulate(config, home / "landing")
    _run(home, raw.raw_assets, weeks)


def _condition(home: str, weeks: Sequence[str]) -> None:
    from forecast_platform.assets.conditioned import conditioned_assets

    _run(Path(home), conditioned_assets, weeks)


def _timed(home: str, weeks: Sequence[str]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    _condition(home, weeks)
    return time.perf_counter() - wall, time.process_time() - cpu


def _run(home: Path, assets: Sequence[Any], weeks: Sequence[str]) -> None:
    """Materialize a range of weeks of the region in one run, as a backfill does."""
    import dagster as dg

    from forecast_platform.resources.conditioning import Conditioning
    from forecast_platform.resources.lake import Lake
    from forecast_platform.resources.landing import Landing

    resources = {
        "lake": Lake(uri=str(home / "lake")),
        "landing": Landing(uri=str(home / "landing")),
        "conditioning": Conditioning(),
    }
    first, last = f"{REGION}|{weeks[0]}", f"{REGION}|{weeks[-1]}"
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", [REGION])
        job = dg.Definitions(
            assets=list(assets),
            resources=resources,
            jobs=[dg.define_asset_job("bench", selection="*")],
            executor=dg.in_process_executor,
        ).resolve_job_def("bench")
        done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=True)
    if not done.success:
        raise RuntimeError("the run failed")


if __name__ == "__main__":
    _main(*sys.argv[1:])
