"""Versions of the code that decides what features are, and what a trained model is.

A digest of what the code does, not of how it is written: comments, docstrings and white space do
not count. Code of reading, storing, judging and serving models is left out; so are settings,
which every training notes with its rows. What a new version leads to is in
`forecast_platform.automation.retraining`.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from forecast_platform.settings import BUILT_IN_MEMBERS

PACKAGE: Final = Path(__file__).resolve().parent.parent
CODE: Final = (
    "forecasting/features",
    "forecasting/models",
    "forecasting/training.py",
    "forecasting/evaluation/backtest.py",
    "forecasting/evaluation/coverage.py",
    "resources/demand.py",
    "resources/donors.py",
    "resources/featuring.py",
    "resources/region_training.py",
)
"""What decides a model: folders and files below the package, in no particular order."""

FEATURE_CODE: Final = ("forecasting/features", "resources/demand.py", "resources/featuring.py")
"""What of it decides features."""

ONLY_DESCRIBES: Final = ("forecasting/models/pyfunc.py", "forecasting/models/signature.py")
"""What tells MLflow of models that are there already."""

ONLY_JOINS: Final = "forecasting/features/training.py"
"""Takes features that are there already to their labels."""


def training_code_digest(member_paths: Iterable[str] = ()) -> str:
    """Digest the code that decides what a trained model is.

    Parameters
    ----------
    member_paths : iterable of str
        ``<module>:<class>`` of the members of the ensembles; modules of the customer's own are
        part of the code, without what they import.

    Returns
    -------
    str
        64 hex digits. The same code gives the same ones under every supported Python.
    """
    own = set(member_paths) - set(BUILT_IN_MEMBERS.values())
    modules = {path.partition(":")[0] for path in own}
    return _digest_now([*_files_of_the_package(), *_files_of(sorted(modules))])


def feature_code_digest() -> str:
    """Digest the code that decides what features are; see `training_code_digest`."""
    files = _files_of_the_package(FEATURE_CODE)
    return _digest_now((name, path) for name, path in files if name != ONLY_JOINS)


def _digest_now(files: Iterable[tuple[str, Path]]) -> str:
    return _digest(tuple((name, path, path.stat().st_mtime_ns) for name, path in sorted(files)))


@cache
def _digest(files: Sequence[tuple[str, Path, int]]) -> str:
    """Digest files once for each time at which they were changed.

    Runs are processes of their own and take the code as it lies there, also when the process
    that asks for them has loaded an older one.
    """
    return digest_of((name, path) for name, path, _ in files)


def digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """Digest what named Python files do, in order of their names."""
    found = sha256()
    for name, path in sorted(files):
        tree = _parsed(path)
        found.update(f"{name}\n{''.join(_written(tree))}\n".encode())
    return found.hexdigest()


def _parsed(path: Path) -> ast.Module:
    """Parse a file; CPython 3.11 may lose count of its depth when memory is collected meanwhile.

    It then raises ``SystemError: AST constructor recursion depth mismatch``, once.
    """
    text = path.read_bytes()
    try:
        return ast.parse(text, filename=str(path))
    except SystemError:
        return ast.parse(text, filename=str(path))


def _files_of_the_package(code: Sequence[str] = CODE) -> Iterator[tuple[str, Path]]:
    for one in code:
        place = PACKAGE / one
        for path in place.rglob("*.py") if place.is_dir() else [place]:
            name = path.relative_to(PACKAGE).as_posix()
            if name not in ONLY_DESCRIBES:
                yield name, path


def _files_of(modules: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Find the files of modules; one that is not there fails the training, which says it better."""
    for name in modules:
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            continue
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            yield name, Path(spec.origin)


def _written(node: object) -> Iterator[str]:
    """Write a syntax tree without texts that nobody evaluates and without empty fields.

    ``ast.dump`` names fields that one Python has and another has not.
    """
    if isinstance(node, list):
        yield from (part for one in node if not _is_text(one) for part in _written(one))
    elif isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value is not None and value != []:
                yield f" {name}="
                yield from _written(value)
        yield ")"
    else:
        yield repr(node)


def _is_text(node: object) -> bool:
    """Tell docstrings, and texts below constants, from code."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
