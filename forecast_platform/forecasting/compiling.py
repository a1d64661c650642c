"""How loops are compiled, and when what was compiled is forgotten.

numba keeps machine code on disk and makes it again when the file of a function has changed. What
the function calls or reads from another file is part of its machine code too, but no reason to make
it again: after an update, a loop would silently go on as its neighbours were. So all files with
compiled loops count as one here. What they take from any other file, they are handed over.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

logger = logging.getLogger(__name__)

CORE = Path(__file__).parent
SOURCES = ("compiling.py", "features/compiled*.py", "models/compiled*.py", "models/solver.py")
DIGEST = "forecast_platform.digest"
"""File beside the machine code: which sources it was made from."""

FAST = {"reassoc", "contract"}
"""Sums may be taken in another order, and products added without rounding in between."""


def kept(**options: Any) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function when it is first called, and keeps the result.

    Where no folder may be written, each process compiles for itself, and says so once.
    """

    def decorate(function: Any) -> Any:
        try:
            dispatcher = numba.njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError as error:  # compiling comes later: this is of keeping
            _say_not_kept(str(error))
            return numba.njit(error_model="numpy", **options)(function)
        if dispatcher is not function:  # as it is where NUMBA_DISABLE_JIT is set
            _forget_changed(dispatcher.stats.cache_path)
        return dispatcher

    return decorate


_said: list[str] = []
"""Why loops are not kept, once it was said."""


def _say_not_kept(reason: str) -> None:
    if _said:
        return
    _said.append(reason)
    logger.warning(
        "Compiled loops cannot be kept, so every process spends half a minute on them: set "
        "NUMBA_CACHE_DIR to a folder that may be written. numba said: %s",
        reason,
    )


@cache
def _forget_changed(folder: str) -> None:
    forget_changed(Path(folder), digest_of_sources())


@cache
def digest_of_sources() -> str:
    """Return the SHA-256 of all files with compiled loops."""
    paths = [path for pattern in SOURCES for path in sorted(CORE.glob(pattern))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def forget_changed(folder: Path, digest: str) -> None:
    """Delete machine code in ``folder`` that was made from sources of another digest.

    Two processes may do so at once: what one of them misses afterwards it makes again.
    """
    known = folder / DIGEST
    if known.exists() and known.read_text(encoding="ascii") == digest:
        return
    for pattern in SOURCES:
        for code in folder.glob(f"{Path(pattern).stem}.*.nb[ic]"):
            code.unlink(missing_ok=True)
    known.write_text(digest, encoding="ascii")
