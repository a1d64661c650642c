"""Packed files: gzip, zstd and zip unpacked as a stream, within limits.

A file that a stranger packed can be a bomb, or can name places outside of its folder. Nothing is
ever written: an archive's names are looked at, not followed. How the content is read is in
`formats`.
"""

import io
import re
import stat
from collections.abc import Iterator
from typing import IO, Final
from zipfile import ZipFile, ZipInfo

import pyarrow as pa

from forecast_platform.resources.contents import BLOCK, BlockStream, Content

MAX_HELD_BYTES: Final = 2 * 1024**3
"""What has to be held whole may be as large as this; what is streamed has no limit."""

MAX_RATIO: Final = 250
"""Bytes out for each byte in. Tables of repeated codes reach 100; a bomb of zeros 1,000."""

SMALL_BYTES: Final = 64 * 1024**2
"""What unpacks to less than this does no harm, whatever its ratio."""

MAX_MEMBERS: Final = 1000
"""Entries of a zip archive; more are not even listed."""

PACKED: Final = {"gz": "gzip", "zst": "zstd", "zip": "zip"}
"""How files are packed, by the ends of their names."""

MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
"""How packed content begins."""

NESTED: Final = (".gz", ".zst", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")

ENCRYPTED: Final = 0x1
UNIX_MODE: Final = 16
"""Bits by which a zip entry's attributes hold the mode of a file on Unix."""


def compression_of(path: str) -> str:
    """Say how a file is packed, by the end of its name.

    Examples
    --------
    >>> compression_of("north/shipments.csv.gz"), compression_of("stores.csv")
    ('gzip', 'none')
    """
    return PACKED.get(path.rpartition(".")[2].lower(), "none")


def compression_in(content: bytes, *, may_be_zip: bool = False) -> str:
    """Say how content is packed, by how it begins: none, gzip, zstd or zip."""
    found = next((how for magic, how in MAGIC.items() if content.startswith(magic)), "none")
    return "none" if found == "zip" and may_be_zip else found


def unpacked(content: Content, how: str, *, may_be_zip: bool = False) -> Iterator[bytes]:
    """Unpack the content of a file, once.

    Parameters
    ----------
    content : Content
    how : str
        gzip, zstd or zip.
    may_be_zip : bool, default=False
        Whether the unpacked content may itself begin as a zip archive does: an Excel file.

    Yields
    ------
    bytes
        Blocks, in order.

    Raises
    ------
    ValueError
        If it unpacks to too much, holds another archive, or is an archive of which it is not
        clear what to take.
    OSError, EOFError, zlib.error, zipfile.BadZipFile, pyarrow.ArrowException
        If it is damaged.
    """
    total = 0
    for block in _chunks(how, content):
        nested = "none" if total else compression_in(block, may_be_zip=may_be_zip)
        if nested != "none":
            raise ValueError(f"it holds another packed file ({nested}): pack it once")
        total += len(block)
        check_ratio(total, content.size_bytes)
        yield block


def check_held(size_bytes: int) -> None:
    """Refuse what has to be held whole and is more than `MAX_HELD_BYTES`."""
    if size_bytes > MAX_HELD_BYTES:
        raise ValueError(
            f"it has to be held whole and is more than {MAX_HELD_BYTES} bytes: deliver it in parts"
        )


def check_ratio(unpacked_bytes: int, packed_bytes: int) -> None:
    """Refuse what unpacks to more than any table does."""
    if unpacked_bytes > SMALL_BYTES and unpacked_bytes > MAX_RATIO * packed_bytes:
        raise ValueError(f"it unpacks to more than {MAX_RATIO} times its size, as no table does")


def _chunks(how: str, content: Content) -> Iterator[bytes]:
    packed = BlockStream(content.blocks())
    if how == "gzip":
        import gzip

        with gzip.open(io.BufferedReader(packed, BLOCK)) as stream:
            yield from _read(stream)
    elif how == "zstd":
        with pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd") as stream:
            yield from _read(stream)
    else:
        with ZipFile(content.open()) as archive, archive.open(_member(archive)) as stream:
            yield from _read(stream)


def _read(stream: "IO[bytes] | pa.NativeFile") -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _member(archive: ZipFile) -> ZipInfo:
    """Find the one file of an archive that is a table."""
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise ValueError(f"it has {len(entries)} entries, more than {MAX_MEMBERS}")
    for entry in entries:
        _check_entry(entry)
    files = [one for one in entries if not one.is_dir() and not _is_hidden(one.filename)]
    if len(files) != 1:
        names = ", ".join(one.filename for one in files[:5]) or "none"
        raise ValueError(f"it holds {len(files)} files ({names}): pack each file by itself")
    return files[0]


def _check_entry(entry: ZipInfo) -> None:
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise ValueError(f"it names a place outside of its folder: {entry.orig_filename!r}")
    if stat.S_ISLNK(entry.external_attr >> UNIX_MODE):
        raise ValueError(f"it holds a link: {entry.filename!r}")
    if entry.flag_bits & ENCRYPTED:
        raise ValueError(f"it is encrypted: {entry.filename!r}")
    if entry.filename.lower().endswith(NESTED):
        raise ValueError(f"it holds another packed file: {entry.filename!r}")


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
