"""Packed files are unpacked within limits, and names in archives lead nowhere."""

import gzip
import io
import stat
import zipfile
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.resources import unpacking
from forecast_platform.resources.contents import BLOCK, Content
from forecast_platform.resources.unpacking import compression_in, compression_of, unpacked

CONTENT = b"store_id,units\n1,2\n" * 100


def unpack(packed: bytes, how: str) -> bytes:
    return b"".join(unpacked(Content(packed), how))


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def packed_as(how: str, content: bytes) -> bytes:
    if how == "zstd":
        return pa.Codec("zstd").compress(content).to_pybytes()
    return gzip.compress(content) if how == "gzip" else zipped(("s.csv", content))


HOW = ["gzip", "zstd", "zip"]


@pytest.mark.parametrize("how", HOW)
def test_what_was_packed_comes_out_and_is_recognized(how: str):
    packed = packed_as(how, CONTENT)

    assert compression_in(packed) == how
    assert unpack(packed, how) == CONTENT


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_files_packed_in_parts_come_out_whole(how: str):
    assert unpack(packed_as(how, CONTENT) + packed_as(how, b"9,9\n"), how) == CONTENT + b"9,9\n"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_refused(how: str, kept: float):
    packed = packed_as(how, CONTENT)

    with pytest.raises((ValueError, OSError, EOFError, zipfile.BadZipFile, pa.ArrowException)):
        unpack(packed[: int(len(packed) * kept)], how)


@pytest.mark.parametrize("how", HOW)
def test_a_bomb_is_refused_before_it_has_gone_off(how: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "SMALL_BYTES", 2**20)
    bomb = packed_as(how, bytes(20 * 2**20))

    with pytest.raises(ValueError, match="more than 250 times its size"):
        unpack(bomb, how)


@pytest.mark.parametrize("how", HOW)
def test_a_large_table_comes_out_by_the_block(how: str):
    content = b"".join(b"S%06d,%d\n" % (i, i * i) for i in range(200_000))

    blocks = list(unpacked(Content(packed_as(how, content)), how))

    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= BLOCK < len(content)


@pytest.mark.parametrize("inner", HOW)
@pytest.mark.parametrize("outer", HOW)
def test_an_archive_in_an_archive_is_refused(outer: str, inner: str):
    with pytest.raises(ValueError, match="another packed file"):
        unpack(packed_as(outer, packed_as(inner, CONTENT)), outer)


@pytest.mark.parametrize(
    "name",
    ["../s.csv", "a/../../s.csv", "/etc/s.csv", "C:/s.csv", "..\\s.csv", "\\\\host\\share\\s.csv"],
)
def test_a_name_that_leaves_the_folder_is_refused(name: str):
    with pytest.raises(ValueError, match="outside of its folder"):
        unpack(zipped(("s.csv", CONTENT), (name, CONTENT)), "zip")


def test_a_link_in_an_archive_is_refused():
    link = zipfile.ZipInfo("s.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(ValueError, match="holds a link"):
        unpack(zipped((link, b"/etc/passwd")), "zip")


def test_an_encrypted_archive_is_refused():
    packed = bytearray(zipped(("s.csv", CONTENT)))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(ValueError, match="is encrypted"):
        unpack(bytes(packed), "zip")


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]])
def test_an_archive_of_none_or_several_files_is_refused(names: list[str]):
    with pytest.raises(ValueError, match=f"holds {len(names)} files"):
        unpack(zipped(*[(name, CONTENT) for name in names]), "zip")


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 3)

    with pytest.raises(ValueError, match="4 entries, more than 3"):
        unpack(zipped(*[(f".hidden{i}", b"") for i in range(4)]), "zip")


def test_what_computers_add_to_archives_does_not_count():
    packed = zipped(("folder/", b""), ("folder/s.csv", CONTENT), ("__MACOSX/._s.csv", b"x"))

    assert unpack(packed, "zip") == CONTENT


def test_names_tell_how_a_file_is_packed():
    names = ["a.csv", "a.csv.gz", "a.csv.ZST", "a.zip", "gz"]

    assert [compression_of(name) for name in names] == ["none", "gzip", "zstd", "zip", "gzip"]


@given(st.binary(max_size=200), st.sampled_from(HOW))
def test_no_content_breaks_the_unpacking_in_another_way_than_it_says(content: bytes, how: str):
    from forecast_platform.resources.formats import UNREADABLE

    for packed in (content, packed_as(how, CONTENT)[: len(content)] + content):
        with suppress(*UNREADABLE):
            assert isinstance(unpack(packed, how), bytes)
