"""Run the speed benchmark and write its report: ``python -m benchmarks.speed --help``."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.speed import features, models, report, segments

ROWS = (10_000, 100_000, 1_000_000)
QUICK_ROWS, QUICK_SCALE = (10_000, 50_000), 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, each in a process of its own, and write the report."""
    asked = _parse(arguments)
    if asked.one:
        found = _one(asked)
        asked.out.write_text(json.dumps(found), encoding="utf-8")
        return
    sizes = tuple(asked.rows or (QUICK_ROWS if asked.quick else ROWS))
    scale = QUICK_SCALE if asked.quick else asked.scale
    with tempfile.TemporaryDirectory(prefix="bench-speed-") as name:
        folder = Path(name)
        of_features = [_apart(folder, one, scale=scale) for one in features.SIZES]
        of_models: list[dict[str, Any]] = []
        text = report.write(of_features, of_models, asked.out)
        for one in _models(folder, sizes):
            of_models.append(one)
            text = report.write(of_features, of_models, asked.out)  # what is there outlives a stop
    print("\n" + text)
    print(f"\nWrote {asked.out / 'report.md'} and report.json.")


def _models(folder: Path, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    names = list(models.MODELS)
    if find_spec("lightgbm") is None:
        print("lightgbm is left out: it is not installed (pip install -e '.[bench]').")
        names.remove("lightgbm")
    segments.write(folder, models.WARM_ROWS)
    for n_rows in sizes:
        segments.write(folder, n_rows)
        for name in names:
            yield _apart(folder, name, rows=n_rows)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows: a look")
    parser.add_argument("--rows", type=int, nargs="+", metavar="N", help="training rows to try")
    parser.add_argument("--scale", type=int, default=1, help="divides the stores of the features")
    parser.add_argument("--out", type=Path, default=Path("build/bench-speed"), metavar="FOLDER")
    parser.add_argument("--one", choices=(*features.SIZES, *models.MODELS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _one(asked: argparse.Namespace) -> dict[str, Any]:
    if asked.one in features.SIZES:
        return features.measure(asked.one, asked.scale)
    return models.measure(asked.one, asked.folder, asked.rows[0], models.WARM_ROWS)


def _apart(folder: Path, name: str, *, rows: int = 0, scale: int = 1) -> dict[str, Any]:
    out = folder / "found.json"
    command = [sys.executable, "-m", "benchmarks.speed", "--one", name, "--folder", str(folder)]
    command += ["--rows", str(rows), "--scale", str(scale), "--out", str(out)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = {**os.environ, **threads}  # noqa: TID251 (of the processes that it starts)
    subprocess.run(command, check=True, env=env)  # noqa: S603 (ourselves)
    found = json.loads(out.read_text(encoding="utf-8"))
    shown = found.get("train_rows_per_second") or found["rows_per_second"]
    print(f"{name}: {found['rows']:,} rows, {shown:,.0f} rows/s", flush=True)
    return found


if __name__ == "__main__":
    main()
