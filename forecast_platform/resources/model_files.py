"""A model as a small set of named bytes: digest, limits, reading and verifying.

Knows no registry and no model family: what the bytes mean is the core's business
(`forecast_platform.forecasting.models.files`), where they are kept is the registry's.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlparse

from forecast_platform.errors import CorruptModel

MAX_MODEL_BYTES = 256 * 1024**2
"""Larger files are refused before they are read: our largest model is a few megabytes."""


def digest_of(files: Mapping[str, bytes]) -> str:
    """Compute one SHA-256 over the names and contents of a model's files.

    Examples
    --------
    >>> digest_of({"b": b"2", "a": b"1"}) == digest_of({"a": b"1", "b": b"2"})
    True
    >>> digest_of({"a": b"12"}) == digest_of({"a1": b"2"})
    False
    """
    lines = (f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return sha256("".join(lines).encode()).hexdigest()


def verify(files: Mapping[str, bytes], *, expected: str, what: str) -> None:
    """Hold a model's files to the digest that was noted when it was registered.

    Raises
    ------
    CorruptModel
        If a file was changed, added or lost since, or no digest was noted: nothing of the model
        may then be parsed.
    """
    if not expected:
        raise CorruptModel(f"{what} has no SHA-256 in the registry: it was not registered by us")
    found = digest_of(files)
    if found != expected:
        raise CorruptModel(
            f"{what} does not match its registered SHA-256: expected {expected[:12]}, "
            f"found {found[:12]} in {len(files)} files"
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model's files into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if Path(name).name != name:
            raise ValueError(f"{name!r} is not a plain file name")
        (folder / name).write_bytes(content)


def read_folder(folder: Path, *, what: str) -> dict[str, bytes]:
    """Read the files of a model, all plain files of one folder.

    Raises
    ------
    CorruptModel
        If the folder is gone, or holds more bytes than a model may have.
    """
    if not folder.is_dir():
        raise CorruptModel(f"{what}: its files are gone")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if sum(path.stat().st_size for path in paths) > MAX_MODEL_BYTES:
        raise CorruptModel(f"{what} is larger than {MAX_MODEL_BYTES} bytes")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def local_folder(uri: str) -> Path | None:
    """Return the local folder that ``uri`` names, or None when it is elsewhere.

    Examples
    --------
    >>> local_folder("file:///tmp/a%20b").as_posix()
    '/tmp/a b'
    >>> local_folder("mlflow-artifacts:/1/abc") is None
    True
    """
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None
