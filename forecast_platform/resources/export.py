"""The champions of one region written as an MLflow model, to be served over HTTP or elsewhere.

Made on demand, from models that are data and were verified, with code that comes from the package
that is running and never from the registry: a model that was planted there is refused, one that was
planted in an export is no business of the platform. Nothing is pickled. See
https://mlflow.org/docs/latest/ml/model/.
"""

import ast
import json
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from forecast_platform.errors import CorruptModel, NoChampion, RegistryError, TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION, Manifest
from forecast_platform.resources.model_files import write_files
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving_models import fetch_or_copy, read_model
from forecast_platform.settings import get_settings
from forecast_platform.vocabulary import ENSEMBLE, FORMAT

LOADER: Final = "forecast_platform.forecasting.models.pyfunc"
PACKAGE: Final = "forecast_platform"
FEATURES: Final = "demand_features"


def export_region(region: str, lake: Lake, registry: Registry, folder: Path) -> dict[str, Any]:
    """Write the champions of a region, and its baselines, as one MLflow model.

    Parameters
    ----------
    region : str
    lake : Lake
        Has the manifest, and the features that the input example is taken from.
    registry : Registry
        Has the models' files; where it is out of reach, their local copies are taken.
    folder : pathlib.Path
        New folder of the model.

    Returns
    -------
    dict
        What was written: ``models``, by segment or format.

    Raises
    ------
    NoChampion
        If the region has no model at all.
    FileExistsError
        If the folder is there.
    """
    from forecast_platform.forecasting.models.pyfunc import INDEX_FILE
    from forecast_platform.forecasting.models.signature import columns_of

    folder.mkdir(parents=True)
    members = get_settings().member_paths
    index: dict[str, Any] = {"region": region, "members": members, "models": {}}
    models = []
    manifest = _manifest(lake, region)
    for name, row in manifest.newest.items():
        if pd.isna(row["champion_version"]):
            continue
        files = _files(registry, name, row)
        if files is None:
            continue
        models.append(read_model(files, name))
        write_files(folder / "data" / name, files)
        key = row["segment"] if row["kind"] == ENSEMBLE else row[FORMAT]
        index["models"][str(key)] = {
            "model_name": name,
            "model_version": int(row["champion_version"]),
            "cutoff": f"{row['cutoff']:%Y-%m-%d}",
            "sha256": row["sha256"],
            "files": {one: sha256(content).hexdigest() for one, content in files.items()},
        }
    if not index["models"]:
        raise NoChampion(f"{region} has no model that could be served")
    (folder / "data" / INDEX_FILE).write_text(json.dumps(index, indent=1))
    _write_code(folder / "code", [path.partition(":")[0] for path in members.values()])
    _describe(folder, _example(lake, region), columns_of(models))
    return index


def _manifest(lake: Lake, region: str) -> Manifest:
    if not lake.exists(PROMOTION):
        raise TableMissing("nothing was judged yet: forecast-platform run")
    return Manifest(lake.read(PROMOTION, region=region))


def _files(registry: Registry, name: str, row: Mapping[str, Any]) -> Mapping[str, bytes] | None:
    """Fetch a model; a baseline that is lost is left out, a champion is not."""
    try:
        return fetch_or_copy(registry, name, row)[0]
    except RegistryError:
        if row["kind"] == ENSEMBLE:
            raise
        return None


def _write_code(folder: Path, members: Sequence[str]) -> None:
    """Copy the loader, the members' modules and what they import of the package that is running.

    Other packages that a further member imports have to be installed where it is served.
    """
    sources = {name: text for one in (LOADER, *members) for name, text in modules_of(one).items()}
    for name, source in sorted(sources.items()):
        spec = find_spec(name)
        is_package = spec is not None and spec.submodule_search_locations is not None
        parts = name.split(".")
        path = folder.joinpath(*parts, "__init__.py") if is_package else folder.joinpath(*parts)
        path = path if is_package else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


def modules_of(name: str) -> dict[str, str]:
    """Find a module's source, and that of all modules of the package that it imports at once.

    Imports within functions are left out: they belong to training.
    """
    found: dict[str, str] = {}
    queue = [name]
    while queue:
        one = queue.pop()
        spec = find_spec(one)
        if one in found or spec is None or spec.origin is None:
            continue
        found[one] = Path(spec.origin).read_text()
        queue += _imported(found[one])
        parent = one.rpartition(".")[0]
        queue += [parent] if parent else []
    return found


def _imported(source: str) -> list[str]:
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            names.append(str(node.module))
        elif isinstance(node, ast.Import):
            names += [one.name for one in node.names if one.name.startswith(PACKAGE)]
    return names


def _example(lake: Lake, region: str) -> pd.DataFrame:
    week = lake.weeks_of(FEATURES, region)[-1]
    return lake.read(FEATURES, region=region, weeks=[RegionWeek.of(region, week).week])


def _describe(folder: Path, features: pd.DataFrame, columns: Sequence[str]) -> None:
    """Write signature, example and environment as MLflow wants them."""
    from forecast_platform.forecasting.models.signature import example, requirements, signature

    lacking = [name for name in columns if name not in features]
    if lacking:
        raise CorruptModel(
            f"the models read {', '.join(lacking)}, which the newest demand_features do not have: "
            "materialize them again, or approve newer models"
        )
    shown = example(features, columns)
    pinned = [f"mlflow=={version('mlflow')}", *requirements()]
    python = platform.python_version()
    environment = {
        "python": python,
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    described = {
        "flavors": {
            "python_function": {
                "code": "code",
                "data": "data",
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": LOADER,
                "python_version": python,
            }
        },
        "mlflow_version": version("mlflow"),
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": signature(columns),
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(described, sort_keys=True))
    (folder / "requirements.txt").write_text("\n".join(pinned) + "\n")
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment))
    (folder / "input_example.json").write_text(json.dumps(shown))
    (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_split": shown}))
