"""Machine code that numba keeps is forgotten when any file with compiled loops has changed."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from forecast_platform.forecasting import compiling
from forecast_platform.forecasting.compiling import CORE, SOURCES, digest_of_sources, forget_changed
from forecast_platform.forecasting.features import compiled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("compiled_net.turn-1.py311.nbi", "compiled_net.turn-1.py311.1.nbc", "other.f.nbi"):
        tmp_path.joinpath(name).write_bytes(b"machine code")
    return tmp_path


def codes(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.nb?"))


def test_code_of_unknown_or_other_sources_is_forgotten_and_that_of_others_is_not(folder):
    forget_changed(folder, "a")
    assert codes(folder) == ["other.f.nbi"]

    folder.joinpath("solver.descend-9.py311.nbi").write_bytes(b"new")
    forget_changed(folder, "b")
    assert codes(folder) == ["other.f.nbi"]


def test_code_of_the_same_sources_is_kept(folder):
    folder.joinpath(compiling.DIGEST).write_text("a")
    before = codes(folder)

    forget_changed(folder, "a")

    assert codes(folder) == before


def test_a_change_of_any_file_with_loops_changes_the_digest(tmp_path, monkeypatch):
    for room in ("features", "models"):
        tmp_path.joinpath(room).mkdir()
        tmp_path.joinpath(room, "compiled_x.py").write_text("1")
    monkeypatch.setattr(compiling, "CORE", tmp_path)
    seen = [digest_of_sources.__wrapped__()]

    for room in ("features", "models"):
        tmp_path.joinpath(room, "compiled_x.py").write_text("2")
        seen.append(digest_of_sources.__wrapped__())

    assert len(set(seen)) == 3


def test_compiled_code_lies_beside_the_digest_of_its_sources():
    place = Path(compiled.insert.stats.cache_path)

    assert place.joinpath(compiling.DIGEST).read_text() == digest_of_sources()


def test_where_nothing_may_be_written_loops_are_compiled_and_it_is_said_once(monkeypatch, caplog):
    njit = compiling.numba.njit

    def nowhere(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(compiling, "numba", SimpleNamespace(njit=nowhere))
    monkeypatch.setattr(compiling, "_said", [])

    loops = [compiling.kept()(lambda x: x + 1) for _ in range(2)]

    assert [loop(2) for loop in loops] == [3, 3]
    assert caplog.text.count("NUMBA_CACHE_DIR") == 1


def test_every_file_that_compiles_is_among_the_sources():
    sources = {path for pattern in SOURCES for path in CORE.glob(pattern)}
    decorated = re.compile(r"^@(kept|compiled|numba)\b", re.MULTILINE)

    found = {path for path in CORE.parent.rglob("*.py") if decorated.search(path.read_text())}

    assert found <= sources
    assert len(found) > 8


def test_only_one_file_asks_numba():
    asks = {path.name for path in CORE.parent.rglob("*.py") if "numba.njit" in path.read_text()}

    assert asks == {"compiling.py"}
