"""Run every benchmark and print a table of seconds and ratios; ``--json FILE`` keeps them."""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import conditioning, lake, lasso, registry, training_read


def _kernels() -> list[dict[str, Any]]:
    print(f"{'benchmark':26s} {'work':>14s} {'ours [s]':>9s} {'peer [s]':>9s} {'ratio':>6s}  peer")
    found = []
    for module in (lake, lasso):
        for result in module.measure():
            print(
                f"{result.name:26s} {result.work:>14s} {result.ours:9.4f} {result.peer:9.4f} "
                f"{result.ratio:6.2f}  {result.peer_name}"
            )
            found.append({**vars(result), "ratio": result.ratio})
    return found


def _training_read() -> list[dict[str, Any]]:
    found = training_read.measure()
    print(f"\n{found[0]['rows']:,} rows of 156 weeks of a region; peer: pyarrow, one Parquet file")
    print(f"{'read':24s} {'M rows/s':>9s} {'peer':>7s} {'ratio':>6s} {'CPU':>6s}  goal")
    for one in found:
        print(
            f"{one['name']:24s} {one['rows_per_second'] / 1e6:9.2f} "
            f"{one['peer_rows_per_second'] / 1e6:7.2f} {one['ratio']:6.2f} "
            f"{one['ratio_cpu']:6.2f}  at most {one['goal']:g}"
        )
    return found


def _conditioning() -> dict[str, Any]:
    found = conditioning.measure()
    print(f"\nconditioning {found['stores']} stores x {found['products']} products of a region")
    print(f"{'weeks':8s} {'wall [s]':>9s} {'CPU [s]':>9s} {'peak [MB]':>10s}")
    for weeks, side in (("1", found["single"]), (str(found["weeks"]), found["range"])):
        print(
            f"{weeks:8s} {side['seconds']:9.2f} {side['cpu_seconds']:9.2f} {side['peak_mb']:10.0f}"
        )
    print(
        f"the range takes {found['ratio']:.3f} of {found['weeks']} single weeks "
        f"({found['singles_measured']} of them measured and scaled; CPU {found['ratio_cpu']:.3f}); "
        f"goal at most {found['goal']:g}"
    )
    return found


def _registry() -> dict[str, Any]:
    found = registry.measure()
    one = found["logging"]
    print(
        f"\nlogging and registering a region's six models: {one['seconds']:.2f} s, CPU "
        f"{one['cpu_seconds']:.2f} s; {one['ratio']:.3f} of their training "
        f"({one['training_seconds']:.1f} s; CPU {one['ratio_cpu']:.3f}); goal at most "
        f"{one['goal']:g}"
    )
    print(f"\n{found['versions']:,} versions of 56 models, three years of weeks")
    print(f"{'look-up':36s} {'wall [s]':>9s} {'CPU [s]':>8s}  goal")
    for one in found["lookups"]:
        print(
            f"{one['name']:36s} {one['seconds']:9.3f} {one['cpu_seconds']:8.3f}  "
            f"below {one['goal']:g}"
        )
    return found


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures as JSON")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave the minutes of registry and conditioning out",
    )
    asked = parser.parse_args()
    found: dict[str, Any] = {"kernels": _kernels(), "training_read": _training_read()}
    if not asked.quick:
        found["registry"] = _registry()
        found["conditioning"] = _conditioning()
    print("ratio: our time over the peer's in the same run; below 1 is faster.")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    _main()
