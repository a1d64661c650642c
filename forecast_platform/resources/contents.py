"""The content of one delivered file, read in blocks and digested on the way.

Bytes only: where files lie is in `landing_area`, how they are unpacked in `unpacking`, what they
say in `formats`.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, Self

from forecast_platform.errors import BadFile

BLOCK: Final = 1024**2
"""Bytes that are read at a time."""

HELD_BYTES: Final = 4 * 1024**2
"""A file up to here is read at once: thousands of small ones must stay cheap."""

MAX_WHOLE_BYTES: Final = 64 * 1024**2
"""What is no table, a manifest, may be as large as this."""


class Content:
    """What a file holds, from any place and as often as needed; closed by ``with``.

    Parameters
    ----------
    held : bytes or binary file
        A file on disk is never held: it may be larger than memory.
    """

    def __init__(self, held: "bytes | BinaryIO") -> None:
        self._held = held
        self._at_first = self._state()
        self._sha256: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not isinstance(self._held, bytes):
            self._held.close()

    @property
    def size_bytes(self) -> int:
        """How much it was when it was opened."""
        return self._at_first[0]

    @property
    def sha256(self) -> str:
        """Digest of what `blocks` gave when it was last read to its end."""
        if self._sha256 is None:
            for _ in self.blocks():
                pass
        return str(self._sha256)

    def blocks(self) -> Iterator[bytes]:
        """Read from the beginning to the end."""
        digest = hashlib.sha256()
        start = 0
        while block := self.read_at(start, BLOCK):
            digest.update(block)
            start += len(block)
            yield block
        self._sha256 = digest.hexdigest()

    def read_at(self, start: int, n_bytes: int) -> bytes:
        """Read from a place; threads do not disturb each other."""
        if isinstance(self._held, bytes):
            return self._held[start : start + n_bytes]
        return os.pread(self._held.fileno(), n_bytes, start)

    def whole(self, file: str) -> bytes:
        """Read a small file at once.

        Raises
        ------
        BadFile
            If it is larger than such a file can be; ``file`` is its path, for the message.
        """
        if self.size_bytes > MAX_WHOLE_BYTES:
            raise BadFile(f"{file} is larger than {MAX_WHOLE_BYTES} bytes")
        return b"".join(self.blocks())

    def open(self) -> BinaryIO:
        """Open a file to read from any place."""
        if isinstance(self._held, bytes):
            return io.BytesIO(self._held)
        return io.BufferedReader(_Seekable(self))

    def check(self, file: str, size_bytes: int, sha256: str) -> None:
        """Refuse a file that is not, or not yet, what its sender wrote.

        Parameters
        ----------
        file : str
            Its path, for the message.
        size_bytes : int
            Its size when it was listed [bytes].
        sha256 : str
            What its manifest says of it; empty when there is none.
        """
        if self._state() != self._at_first or self.size_bytes != size_bytes:
            raise BadFile(f"{file} changed while it was read: it is still being written")
        if sha256 and self.sha256 != sha256:
            raise BadFile(f"{file} is not the file that its manifest names: its digest differs")

    def _state(self) -> tuple[int, int]:
        """Size and time of the last change."""
        if isinstance(self._held, bytes):
            return len(self._held), 0
        found = os.fstat(self._held.fileno())
        return found.st_size, found.st_mtime_ns


class BlockStream(io.RawIOBase):
    """A file that is read once, from its beginning, out of blocks."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        super().__init__()
        self._blocks = (block for block in blocks if block)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill ``buffer`` with what is left of a block."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes


class _Seekable(io.RawIOBase):
    """A content as a file with a place of its own."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_CUR: self._at, os.SEEK_END: self._content.size_bytes}.get(whence, 0)
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = self._content.read_at(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
