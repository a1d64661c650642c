"""Local copies of the models that served last, for the days on which their store does not answer.

Named by the digest that the manifest holds, and verified against it at every use: nothing here is
trusted. Where models come from otherwise belongs to `registry`.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forecast_platform.errors import CorruptModel
from forecast_platform.resources.model_files import read_folder, verify, write_files

KEPT: Final = 3
"""Copies of one registered name that are kept: the champion, the one before, and one more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelCopies:
    """Copies of models in a folder, ``<folder>/<registered name>/<digest>/``.

    Parameters
    ----------
    folder : str
        Where; empty keeps none.
    """

    folder: str = ""

    def keep(self, name: str, digest: str, files: Mapping[str, bytes]) -> None:
        """Keep a copy of a model that was just verified; the oldest ones of its name go.

        A disk that is full or write-protected costs the copy, with a warning, and nothing else.
        """
        if not self.folder or Path(name).name != name:
            return
        home = Path(self.folder) / name
        try:
            if (home / digest).is_dir():
                (home / digest).touch()
                return
            home.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=".part-", dir=home))
            write_files(part / digest, files)
            if not (home / digest).exists():
                (part / digest).rename(home / digest)
            shutil.rmtree(part)
            self._forget_old(home)
        except OSError as error:
            log.warning("no local copy of %s is kept in %s: %s", name, self.folder, error)

    def find(self, name: str, digest: str) -> dict[str, bytes] | None:
        """Read a copy; None if there is none.

        Raises
        ------
        CorruptModel
            If it is not what the digest says.
        """
        folder = Path(self.folder) / name / digest
        if not self.folder or not folder.is_dir():
            return None
        what = f"the local copy of {name}"
        try:
            files = read_folder(folder, what=what)
        except OSError as error:
            raise CorruptModel(f"{what} cannot be read: {error}") from error
        verify(files, expected=digest, what=what)
        return files

    def _forget_old(self, home: Path) -> None:
        copies = [one for one in home.iterdir() if not one.name.startswith(".")]
        by_use = sorted(copies, key=lambda one: one.stat().st_mtime, reverse=True)
        for old in by_use[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
