"""A delivery is read when it is written to its end, and not before."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import landing_area
from forecast_platform.resources.contents import Content
from forecast_platform.resources.landing import Delivery, Landing

WEEK = pd.Timestamp("2024-03-04").as_unit("us")
KEY = RegionWeek("north", WEEK)
CONTENT = "store_id,product_id,week,units_shipped\nS1,P1,2024-03-04,1\n"


class Area:
    """A landing area with one source, shipments, and one region-week's folder."""

    def __init__(self, root: Path, **described: object):
        self.folder = root / "landing/shipments/north/2024-03-04"
        self.folder.mkdir(parents=True)
        sources = root / "sources.yaml"
        source = {"path": "shipments/{region}/{week}/*", "required": "weekly", **described}
        sources.write_text(json.dumps({"sources": {"shipments": source}}))
        self.landing = Landing(uri=str(root / "landing"), sources_file=str(sources))

    def put(self, name: str = "s.csv", content: str = CONTENT, *, age: float = 3600) -> Path:
        path = self.folder / name
        path.write_text(content)
        os.utime(path, (time.time() - age,) * 2)
        return path

    def put_manifest(self, *entries: tuple[str, int, str]) -> None:
        files = [dict(zip(("name", "size_bytes", "sha256"), one, strict=True)) for one in entries]
        self.put("manifest.json", json.dumps({"files": files}))

    def read(self) -> Delivery:
        return self.landing.read("shipments", [KEY])

    def seen(self) -> list[str]:
        """Names that the landing sensor is told."""
        return sorted(one.file.rpartition("/")[2] for one in self.landing.files())


def entry(name: str = "s.csv", content: str = CONTENT) -> tuple[str, int, str]:
    return name, len(content), hashlib.sha256(content.encode()).hexdigest()


def test_a_file_is_read_when_it_has_not_changed_for_a_while(tmp_path: Path):
    area = Area(tmp_path, settle_seconds=60)
    area.put(age=10)
    assert "changed 10 s ago and may still be written" in area.read().bad[KEY]
    assert area.seen() == []

    area.put(age=61)
    assert len(area.read().rows) == 1
    assert area.seen() == ["s.csv"]


def test_one_file_still_written_holds_its_region_week_back(tmp_path: Path):
    area = Area(tmp_path, settle_seconds=60)
    area.put("a.csv")
    area.put("b.csv", age=1)

    assert area.seen() == []
    assert KEY in area.read().bad


def test_a_delivery_may_be_complete_when_a_success_file_lies_beside(tmp_path: Path):
    area = Area(tmp_path, complete_when="success_file")
    area.put()
    assert "no _SUCCESS lies beside it" in area.read().bad[KEY]
    assert area.seen() == []

    area.put("_SUCCESS", "")
    delivery = area.read()
    assert delivery.bad == {}
    assert [one.file.rpartition("/")[2] for _, one, *_ in delivery.files] == ["s.csv"]
    assert area.seen() == ["s.csv"]


def test_a_delivery_may_be_complete_when_its_manifest_is(tmp_path: Path):
    area = Area(tmp_path, complete_when="manifest")
    area.put()
    assert "no manifest.json lies beside it" in area.read().bad[KEY]

    area.put_manifest(entry(), entry("part_2.csv"))
    assert "names files that are not there yet" in area.read().bad[KEY]
    assert area.seen() == []

    area.put("part_2.csv")
    assert len(area.read().rows) == 2
    assert area.seen() == ["part_2.csv", "s.csv"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("s.csv", 3, "a" * 64)], "names another size"),
        ([("s.csv", len(CONTENT), "a" * 64)], "its digest differs"),
        ([("../s.csv", len(CONTENT), "a" * 64)], "String should match pattern"),
        ([("s.csv", len(CONTENT), "A")], "String should match pattern"),
        ([entry("other.csv")], "does not name"),
        ([], "at least 1 item"),
    ],
)
def test_files_that_are_not_those_of_the_manifest_are_refused(
    tmp_path: Path, entries: list[tuple[str, int, str]], message: str
):
    area = Area(tmp_path, complete_when="manifest")
    area.put()
    area.put("other.csv")
    area.put_manifest(*entries, *([entry("other.csv")] if entries else []))
    if message == "does not name":
        area.put_manifest(*entries)

    delivery = area.read()

    assert message in delivery.bad[KEY]


def test_a_manifest_that_is_no_json_is_told(tmp_path: Path):
    area = Area(tmp_path, complete_when="manifest")
    area.put()
    area.put("manifest.json", "{")

    assert "manifest.json is no JSON" in area.read().bad[KEY]


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    area = Area(tmp_path)
    area.put()
    read = Content.blocks

    def grow(content: Content) -> Iterator[bytes]:
        with (area.folder / "s.csv").open("ab") as out:
            out.write(b"S2,P")
        yield from read(content)

    monkeypatch.setattr(landing_area, "HELD_BYTES", 0)
    monkeypatch.setattr(Content, "blocks", grow)

    assert "changed while it was read" in area.read().bad[KEY]


def test_a_file_that_has_grown_since_it_was_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    area = Area(tmp_path)
    area.put()
    listed = landing_area.Folder.list_files

    def smaller(self: landing_area.Folder, prefix: str) -> Iterator[landing_area.Listed]:
        return ((path, size - 1, changed) for path, size, changed in listed(self, prefix))

    monkeypatch.setattr(landing_area.Folder, "list_files", smaller)

    assert "changed while it was read" in area.read().bad[KEY]
