"""Run the accuracy benchmark and write its report: ``python -m benchmarks.accuracy --help``."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.accuracy import ablation, datasets, hard_cases, ours, peers, report
from benchmarks.accuracy.folds import Prepared
from benchmarks.accuracy.timing import Family, try_family
from forecast_platform.vocabulary import CUTOFF, DS, SEGMENT, UNIQUE_ID, VELOCITY, H, Y

FAMILIES: dict[str, Family] = {
    "ensemble": ours.ensemble,
    "ensemble_mean": ours.ensemble_mean,
    "ensemble_apart": ours.ensemble_apart,
    "ensemble_pooled": ours.ensemble_pooled,
    "historical_average_geometric": peers.geometric_average,
    "seasonal_naive": peers.seasonal_naive,
    "auto_ets": peers.auto_ets,
    "lightgbm_mape": peers.lightgbm_mape,
    "lightgbm_l1": peers.lightgbm_l1,
    "lightgbm_l2": peers.lightgbm_l2,
    "catboost_mape": peers.catboost_mape,
    "mlforecast_lightgbm": peers.mlforecast_lightgbm,
}
"""Every family forecasts in a process of its own; one may give several rows of the report."""

OURS = ("ensemble", "ensemble_mean", "ensemble_apart", "ensemble_pooled")
"""Families that are never kept from an earlier run: their code is what is being worked on."""

QUICK = ("ensemble", "historical_average_geometric", "lightgbm_mape")
NEEDS = {
    "auto_ets": "statsforecast",
    "lightgbm_mape": "lightgbm",
    "lightgbm_l1": "lightgbm",
    "lightgbm_l2": "lightgbm",
    "catboost_mape": "catboost",
    "mlforecast_lightgbm": "mlforecast",
}
KEYS = (UNIQUE_ID, DS, H, SEGMENT, VELOCITY, CUTOFF)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare the data sets that are asked for, try every model, write the report."""
    asked = _parse(arguments)
    if asked.family:
        known = ablation.VARIANTS if asked.ablation else FAMILIES
        try_family(asked.family, known[asked.family], asked.out)
        return
    families = asked.models or _default_families(asked)
    missing = set(peers.missing_libraries())
    for name in [name for name in families if NEEDS.get(name) in missing]:
        print(f"{name} is left out: {NEEDS[name]} is not installed (pip install -e '.[bench]').")
    families = [name for name in families if NEEDS.get(name) not in missing]
    try:
        chosen = _datasets(asked)
    except (ValueError, FileNotFoundError) as wrong:
        sys.exit(str(wrong))
    results = [tried(one, families, keep=asked.keep, ablate=asked.ablation) for one in chosen]
    if len(results) > 1 and not asked.panel:
        results = _pooled(results)
    further = () if asked.ablation or asked.panel else (hard_cases.section(),)
    written = report.write(results, asked.out, further=further)
    for result in results:
        print(f"\n{result.name}\n\n{report.scores_table(result.scores())}\n")
        print(report.paired_table(result.compared()))
    print(f"\nWrote {written}, with report.json and charts beside it.")


def _default_families(asked: argparse.Namespace) -> tuple[str, ...]:
    if asked.ablation:
        return tuple(ablation.VARIANTS)
    return QUICK if asked.quick else tuple(FAMILIES)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="FOLDER")
    parser.add_argument("--set", choices=("orange_juice", "simulated"), action="append")
    parser.add_argument("--panel", type=Path, metavar="FILE", help="CSV or Parquet of your own")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML: the panel's columns")
    parser.add_argument("--models", nargs="+", metavar="NAME")
    parser.add_argument("--rounds", choices=("test", "development"), default="test")
    parser.add_argument("--regions", type=int, default=3, help="of the simulated retailer")
    parser.add_argument("--quick", action="store_true", help="few folds, few models: a look")
    parser.add_argument("--out", type=Path, default=Path("build/bench-accuracy"), metavar="FOLDER")
    parser.add_argument(
        "--ablation", action="store_true", help="leave out one part of ours at a time, instead"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of peers' forecasts")
    parser.add_argument("--family", choices=[*FAMILIES, *ablation.VARIANTS], help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.ablation:
        asked.rounds = "development"
    known = ablation.VARIANTS if asked.ablation else FAMILIES
    wrong = [name for name in asked.models or () if name not in known]
    if wrong:
        parser.error(f"unknown models: {', '.join(wrong)}; there are {', '.join(known)}")
    if bool(asked.panel) != bool(asked.config):
        parser.error("--panel and --config belong together")
    if asked.models and "ensemble" not in asked.models:
        asked.models.insert(0, "ensemble")  # what the others are compared with
    return asked


def _datasets(asked: argparse.Namespace) -> list[datasets.Dataset]:
    if asked.panel:
        return [datasets.panel(asked.panel, asked.config)]
    wanted, sets = asked.set or ("orange_juice", "simulated"), []
    if "orange_juice" in wanted:
        folder = (
            asked.data / "dominicks_oj" if (asked.data / "dominicks_oj").exists() else asked.data
        )
        if (folder / "yx.csv.gz").exists():
            rounds = datasets.ROUNDS if asked.rounds == "test" else datasets.DEVELOPMENT_ROUNDS
            sets.append(datasets.orange_juice(folder, rounds[:2] if asked.quick else rounds))
        else:
            print(f"Orange juice is left out: no yx.csv.gz in {folder}.")
    if "simulated" in wanted:
        with tempfile.TemporaryDirectory() as home:
            n_regions, n_folds = (1, 2) if asked.quick else (asked.regions, 3)
            print(f"Simulating {n_regions} regions and conditioning their files ...", flush=True)
            sets += datasets.simulated(Path(home), n_regions=n_regions, n_folds=n_folds)
    return sets


def tried(
    dataset: datasets.Dataset,
    families: Sequence[str],
    *,
    keep: Path | None = None,
    ablate: bool = False,
) -> report.Result:
    """Try every family on one data set, each in a process of its own, one after the other.

    In ``keep``, forecasts of peers stay for the next run on the very same features and folds.
    """
    print(f"{dataset.name}: {len(dataset.cutoffs)} folds, building features ...", flush=True)
    with tempfile.TemporaryDirectory() as name:
        prepared = Prepared.of(dataset)
        folder = Path(name) if keep is None else keep / dataset.name / prepared.fingerprint()
        folder.mkdir(parents=True, exist_ok=True)
        prepared.save(folder)
        if ablate:
            useful = ablation.worth_trying(prepared.features)
            families = [name for name in families if name in useful]
        tables, costs = [], {}
        for family in families:
            known = folder / f"{family}.json"  # written last
            if known.exists() and family not in OURS and not ablate:
                print(f"  {family}: kept from an earlier run", flush=True)
                table = pd.read_parquet(folder / f"{family}.parquet")
            else:
                table = _run_apart(family, folder, ablate=ablate)
            models = [column for column in table.columns if column not in KEYS]
            cost = json.loads((folder / f"{family}.json").read_text(encoding="utf-8"))
            costs |= {model: cost for model in models if model != "historical_average"}
            tables.append(table.set_index(list(KEYS))[models])
    rows = pd.concat(tables, axis=1).reset_index()
    rows = rows.merge(prepared.actuals(), on=[UNIQUE_ID, DS], validate="m:1")
    if dataset.truth is not None:
        rows = rows.merge(dataset.truth, on=[UNIQUE_ID, DS], validate="m:1")
        rows = rows.rename(columns={"oracle_mape": "oracle"})
    models = [name for name in rows.columns if name not in {*KEYS, Y, *report.INTERVAL}]
    return report.Result(dataset.name, dataset.about, rows, costs, dataset.published, models)


def _run_apart(family: str, folder: Path, *, ablate: bool) -> pd.DataFrame:
    command = [sys.executable, "-m", "benchmarks.accuracy", "--family", family, "--out", folder]
    command += ["--ablation"] if ablate else []
    subprocess.run([str(part) for part in command], check=True)  # noqa: S603 (ourselves)
    return pd.read_parquet(folder / f"{family}.parquet")


def _pooled(results: Sequence[report.Result]) -> list[report.Result]:
    """Show the regions of the simulated retailer as one set."""
    regions = [result for result in results if "oracle" in result.rows]
    others = [result for result in results if "oracle" not in result.rows]
    if not regions:
        return others
    rows = pd.concat([r.rows.assign(unique_id=r.name + "/" + r.rows[UNIQUE_ID]) for r in regions])
    first, costs = regions[0], {}
    for model in first.costs:
        each = pd.DataFrame([region.costs[model] for region in regions])
        costs[model] = {**each.mean().to_dict(), "peak_mib": each["peak_mib"].max()}
    name = "simulated"
    about = f"{len(regions)} regions. {first.about}"
    return [*others, report.Result(name, about, rows, costs, {}, first.models)]


if __name__ == "__main__":
    main()
