"""Whether a delivery is written to its end: it has settled, or its sender says so.

Judges names, sizes and times of change of listed files, and the manifest that lies beside them.
What is not complete is not read, and said so; the landing sensor does not even see it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast_platform.errors import BadFile
from forecast_platform.resources.sources import CompleteWhen

SUCCESS: Final = "_SUCCESS"
"""Empty file that many engines write last."""

MANIFEST: Final = "manifest.json"
SIGNS: Final = frozenset({SUCCESS, MANIFEST})
"""Names of files that are no data."""

NANOSECONDS: Final = 1e9


class ManifestEntry(BaseModel):
    """One file of a delivery, in the folder of its manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    size_bytes: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """All files of a delivery, as its sender counts them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[ManifestEntry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Folders:
    """What lies in the landing area now.

    Attributes
    ----------
    sizes : mapping of str to int
        Size of each listed file, by path [bytes].
    modified : mapping of str to object
        Time of its last change: nanoseconds since 1970, or ISO 8601.
    read : callable
        Reads a file whole; raises BadFile.
    now : float
        Seconds since 1970.
    """

    sizes: Mapping[str, int]
    modified: Mapping[str, object]
    read: Callable[[str], bytes]
    now: float

    def waits_for(
        self, paths: Iterable[str], complete_when: CompleteWhen, settle_seconds: int
    ) -> dict[str, str]:
        """Say of each file that is not complete what it waits for.

        Parameters
        ----------
        paths : iterable of str
            Files of one source.
        complete_when : CompleteWhen
        settle_seconds : int
            How long a file must not have changed [s]; 0 asks for nothing.
        """
        if complete_when is CompleteWhen.MANIFEST:
            return self._not_in_manifest(list(paths))
        if complete_when is CompleteWhen.SUCCESS_FILE:
            missing = f"its delivery is not complete: no {SUCCESS} lies beside it"
            return {path: missing for path in paths if _beside(path, SUCCESS) not in self.sizes}
        return {path: why for path in paths if (why := self._unsettled(path, settle_seconds))}

    def digests(self, paths: Iterable[str]) -> dict[str, str]:
        """SHA-256 that the manifest tells of each file it names."""
        found: dict[str, str] = {}
        for manifest in sorted({_beside(path, MANIFEST) for path in paths} & set(self.sizes)):
            entries = _read_manifest(self.read(manifest), manifest).files
            found |= {_beside(manifest, one.name): one.sha256 for one in entries}
        return found

    def _unsettled(self, path: str, settle_seconds: int) -> str:
        age = self.now - _seconds(self.modified[path])
        if age >= settle_seconds:
            return ""
        return (
            f"it changed {max(age, 0):.0f} s ago and may still be written: it must not have "
            f"changed for {settle_seconds} s. Run again then"
        )

    def _not_in_manifest(self, paths: Collection[str]) -> dict[str, str]:
        waiting: dict[str, str] = {}
        for manifest in sorted({_beside(path, MANIFEST) for path in paths}):
            beside = [path for path in paths if _beside(path, MANIFEST) == manifest]
            problem = self._problem_of(manifest, beside)
            waiting |= dict.fromkeys(beside, problem) if problem else {}
        return waiting

    def _problem_of(self, manifest: str, beside: Collection[str]) -> str:
        """Compare a manifest with its folder."""
        if manifest not in self.sizes:
            return f"its delivery is not complete: no {MANIFEST} lies beside it"
        try:
            entries = _read_manifest(self.read(manifest), manifest).files
        except BadFile as error:
            return str(error)
        named = {_beside(manifest, one.name): one.size_bytes for one in entries}
        absent = sorted(path for path in named if path not in self.sizes)
        other = sorted(p for p, size in named.items() if self.sizes.get(p, size) != size)
        extra = sorted(set(beside) - set(named))
        return "; ".join(
            f"{what}: {', '.join(some)}"
            for what, some in (
                (f"{manifest} names files that are not there yet", absent),
                (f"{manifest} names another size", other),
                (f"{manifest} does not name", extra),
            )
            if some
        )


def _read_manifest(content: bytes, path: str) -> Manifest:
    try:
        return Manifest.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadFile(f"{path}: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{path} is no JSON: {error}") from error


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"


def _seconds(modified: object) -> float:
    if isinstance(modified, int | float):
        return float(modified) / NANOSECONDS
    try:
        return datetime.fromisoformat(str(modified)).timestamp()
    except ValueError:
        return 0.0  # a file system that tells no times: nothing to wait for
