"""Copies of models: verified at every use, few of each, and never a reason to fail."""

import os
from pathlib import Path

import pytest

from forecast_platform.errors import CorruptModel
from forecast_platform.resources.model_copies import KEPT, ModelCopies
from forecast_platform.resources.model_files import digest_of

NAME = "demand-north-large-fast"


def files(content: bytes = b"weights") -> dict[str, bytes]:
    return {"model.json": b"{}", "arrays": content}


def keep(copies: ModelCopies, content: bytes = b"weights") -> str:
    digest = digest_of(files(content))
    copies.keep(NAME, digest, files(content))
    return digest


def test_a_copy_comes_back_byte_for_byte(tmp_path: Path):
    copies = ModelCopies(str(tmp_path))
    digest = keep(copies)

    assert copies.find(NAME, digest) == files()
    assert copies.find(NAME, digest_of(files(b"other"))) is None
    assert copies.find("demand-north-large-slow", digest) is None


def test_without_a_folder_nothing_is_kept():
    copies = ModelCopies()

    assert copies.find(NAME, keep(copies)) is None


@pytest.mark.parametrize("damage", ["changed", "added", "lost"])
def test_a_copy_that_was_touched_is_refused(tmp_path: Path, damage: str):
    copies = ModelCopies(str(tmp_path))
    digest = keep(copies)
    folder = tmp_path / NAME / digest
    if damage == "changed":
        (folder / "arrays").write_bytes(b"weightt")
    elif damage == "added":
        (folder / "more.py").write_text("import os")
    else:
        (folder / "arrays").unlink()

    with pytest.raises(CorruptModel, match="local copy"):
        copies.find(NAME, digest)


def test_the_copies_that_were_used_last_are_kept(tmp_path: Path):
    copies = ModelCopies(str(tmp_path))
    digests = []
    for number in range(KEPT + 2):
        digests.append(keep(copies, bytes([number])))
        os.utime(tmp_path / NAME / digests[-1], (number, number))

    there = [digest for digest in digests if copies.find(NAME, digest)]
    assert there == digests[-KEPT:]


def test_a_disk_that_takes_nothing_costs_the_copy_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    keep(ModelCopies(str(blocked)))

    assert "no local copy of demand-north-large-fast is kept" in caplog.text
