"""Where delivered files lie, a folder or a bucket: listed and opened, never changed.

Paths and bytes only: which files belong to which source is in `delivered_files`, what they hold
in `formats`.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from forecast_platform.errors import BadFile
from forecast_platform.resources.contents import HELD_BYTES, Content

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DELTALAKE_ONLY: Final = ("azure_", "aws_", "allow_http")
"""Beginnings of storage options that fsspec does not understand."""

FILES_AT_ONCE: Final = 64
"""Small files of a bucket that are fetched together."""

BYTES_AT_ONCE: Final = 64 * 1024**2
"""Their bytes, at most."""

Listed = tuple[str, int, object]
"""Path below the landing folder, size [bytes], time of change."""


class Area(Protocol):
    """A place where files are delivered."""

    def list_files(self, prefix: str) -> Iterator[Listed]:
        """List files below a folder of the area, except hidden ones."""
        ...

    def open_file(self, file: str) -> Content:
        """Open one file.

        Raises
        ------
        BadFile
            If it lies outside of the area or cannot be read.
        """
        ...

    def open_files(self, files: Sequence[tuple[str, int]]) -> "Iterator[Content | BadFile]":
        """Open files of these paths and sizes [bytes], in their order, one after the other."""
        ...


def open_area(uri: str, storage_options: Mapping[str, str]) -> Area:
    """Open the folder or bucket that a URI names."""
    return Bucket(uri, storage_options) if "://" in uri else Folder(uri)


class Folder:
    """A folder of this machine."""

    def __init__(self, uri: str) -> None:
        self._root = Path(uri).expanduser()

    @cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self._root)

    def list_files(self, prefix: str) -> Iterator[Listed]:
        """List files below a folder of the area, except hidden ones."""
        yield from _list_local(self._root / prefix, f"{prefix}/" if prefix else "")

    def open_file(self, file: str) -> Content:
        """Open one file; a small one is read at once."""
        path = os.path.realpath(os.path.join(self._real_root, file))  # noqa: PTH118 - 3 x as fast
        if os.path.commonpath((path, self._real_root)) != self._real_root:
            raise BadFile(f"{file} leads out of the landing area: deliver the file itself")
        try:
            opened = open(path, "rb")  # noqa: PTH123, SIM115 - closed by the content
            if os.fstat(opened.fileno()).st_size > HELD_BYTES:
                return Content(opened)
            with opened:
                return Content(opened.read())
        except OSError as error:
            raise _unreadable(file, error) from error

    def open_files(self, files: Sequence[tuple[str, int]]) -> "Iterator[Content | BadFile]":
        """Open files in their order, one after the other."""
        for file, _ in files:
            try:
                yield self.open_file(file)
            except BadFile as error:
                yield error


class Bucket:
    """A bucket or container, by fsspec."""

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        self._uri = uri
        self._options = {
            name: value
            for name, value in storage_options.items()
            if not name.startswith(DELTALAKE_ONLY)
        }

    def list_files(self, prefix: str) -> Iterator[Listed]:
        """List files below a folder of the area, except hidden ones."""
        system, root = self._filesystem()
        base = f"{root}/{prefix}".rstrip("/")
        try:
            found: Any = system.find(base, detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            if not path.rpartition("/")[2].startswith("."):
                yield path[len(root) + 1 :], int(info["size"]), _modified(info)

    def open_file(self, file: str) -> Content:
        """Open one file: a small one in memory, a larger one as a copy on this machine's disk."""
        system, root = self._filesystem()
        try:
            return _fetched(system, f"{root}/{file}", int(system.size(f"{root}/{file}") or 0))
        except OSError as error:
            raise _unreadable(file, error) from error

    def open_files(self, files: Sequence[tuple[str, int]]) -> "Iterator[Content | BadFile]":
        """Open files in their order, small ones fetched many at once."""
        system, root = self._filesystem()
        for some in _groups(files):
            small = [f"{root}/{file}" for file, size in some if size <= HELD_BYTES]
            found: Any = system.cat(small, on_error="return") if small else {}
            for file, size in some:
                try:
                    held = found.get(f"{root}/{file}")
                    if size > HELD_BYTES:
                        yield _fetched(system, f"{root}/{file}", size)
                    elif isinstance(held, bytes):
                        yield Content(held)
                    else:
                        yield BadFile(f"{file} cannot be read: {held}")
                except OSError as error:
                    yield _unreadable(file, error)

    def _filesystem(self) -> "tuple[AbstractFileSystem, str]":
        from fsspec.core import url_to_fs

        system, root = url_to_fs(self._uri, **self._options)
        system.invalidate_cache()
        return system, root.rstrip("/")


def _fetched(system: "AbstractFileSystem", path: str, size_bytes: int) -> Content:
    """Fetch a file of a bucket; a large one goes to disk, a block at a time."""
    if size_bytes <= HELD_BYTES:
        content: Any = system.cat_file(path)
        return Content(bytes(content))
    with tempfile.NamedTemporaryFile(prefix="delivered-") as copy:
        system.get_file(path, copy.name)
        return Content(open(copy.name, "rb"))  # noqa: PTH123 - closed by the content


def _groups(files: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Put files together that may be held at the same time."""
    group: list[tuple[str, int]] = []
    n_bytes = 0
    for file, size in files:
        held = size if size <= HELD_BYTES else 0
        if group and (len(group) == FILES_AT_ONCE or n_bytes + held > BYTES_AT_ONCE):
            yield group
            group, n_bytes = [], 0
        group.append((file, size))
        n_bytes += held
    if group:
        yield group


def _unreadable(file: str, error: OSError) -> BadFile:
    return BadFile(f"{file} cannot be read: {error.strerror or error}")


def _list_local(folder: Path | str, prefix: str) -> Iterator[Listed]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _list_local(entry.path, f"{path}/")
        elif not entry.name.startswith(".") and entry.is_file():
            stat = entry.stat()
            yield path, stat.st_size, stat.st_mtime_ns


def _modified(info: Mapping[str, Any]) -> object:
    changed = info.get("last_modified") or info.get("mtime") or info.get("LastModified") or ""
    return changed.isoformat() if isinstance(changed, datetime) else changed
