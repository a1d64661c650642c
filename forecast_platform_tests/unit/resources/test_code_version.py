"""What counts as another version of the code of models."""

import re
from pathlib import Path

import pytest

from forecast_platform.resources import code_version
from forecast_platform.resources.code_version import (
    digest_of,
    feature_code_digest,
    training_code_digest,
)
from forecast_platform.resources.triggers import trigger_tag, triggered_by
from forecast_platform.schemas.models import Trigger

CODE = '''"""What it is."""

LAGS = (1, 2)
"""Weeks back."""


class Lags:
    """Lags."""

    def add(self, y: list[float], n: int = 3) -> float:
        """Add them."""
        # the newest last
        return sum(y[-n:]) * 0.5
'''


def digest(folder: Path, code: str, name: str = "lags.py") -> str:
    path = folder / "code.py"
    path.write_text(code)
    return digest_of([(name, path)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("# the newest last", "# last is newest", id="comment"),
        pytest.param('"""What it is."""\n', "", id="docstring-of-the-module"),
        pytest.param('"""Weeks back."""\n', '"""Weeks."""\n', id="text-below-a-constant"),
        pytest.param('    """Lags."""\n', "", id="docstring-of-a-class"),
        pytest.param('"""Add them."""', '"""Sum\n        up."""', id="docstring-of-a-function"),
        pytest.param("(1, 2)", "(\n    1,\n    2,\n)", id="white-space"),
    ],
)
def test_what_only_people_read_is_no_new_version(tmp_path, old, new):
    assert old in CODE
    assert digest(tmp_path, CODE.replace(old, new)) == digest(tmp_path, CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("0.5", "0.25", id="constant"),
        pytest.param("(1, 2)", "(1, 2, 4)", id="tuple"),
        pytest.param("n: int = 3", "n: int = 4", id="default"),
        pytest.param("sum(", "max(", id="name"),
        pytest.param("y[-n:]", "y[:-n]", id="slice"),
        pytest.param("(1, 2)", "('1', 2)", id="type"),
    ],
)
def test_what_computes_is_a_new_version(tmp_path, old, new):
    assert old in CODE
    assert digest(tmp_path, CODE.replace(old, new)) != digest(tmp_path, CODE)


def test_a_renamed_module_is_a_new_version(tmp_path):
    assert digest(tmp_path, CODE, "leads.py") != digest(tmp_path, CODE)


def test_the_order_of_files_does_not_count(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(f"{name} = 1")
    files = [(name, tmp_path / name) for name in "ab"]

    assert digest_of(files) == digest_of(files[::-1])


def test_the_package_is_told_to_have_changed_when_a_constant_has(tmp_path, monkeypatch):
    for one in code_version.CODE:
        place = tmp_path / one
        files = [place] if place.suffix else [place / "some.py"]
        files[0].parent.mkdir(parents=True, exist_ok=True)
        files[0].write_text(CODE)
    monkeypatch.setattr(code_version, "PACKAGE", tmp_path)
    before = training_code_digest()
    changed = tmp_path / "forecasting/training.py"

    changed.write_text(CODE.replace("# the", "# The"))
    commented = training_code_digest()
    changed.write_text(CODE.replace("0.5", "0.75"))

    assert commented == before
    assert training_code_digest() != before


def test_all_modules_that_train_are_covered():
    covered = {name for name, _ in code_version._files_of_the_package()}

    training = (code_version.PACKAGE / "forecasting/training.py").read_text()
    imported = re.findall(r"^from forecast_platform\.(forecasting[\w.]+) import", training, re.M)
    assert imported
    assert covered >= {f"{name.replace('.', '/')}.py" for name in imported}
    assert covered >= {
        "forecasting/training.py",
        "forecasting/models/objective.py",
        "forecasting/models/net_training.py",
        "forecasting/features/compiled.py",
        "resources/region_training.py",
    }
    assert not covered & set(code_version.ONLY_DESCRIBES)


def test_all_modules_that_make_features_are_covered():
    covered = {name for name, _ in code_version._files_of_the_package(code_version.FEATURE_CODE)}

    for name in ("forecasting/features/assemble.py", "resources/featuring.py"):
        text = (code_version.PACKAGE / name).read_text()
        imported = re.findall(r"from forecast_platform\.((?:forecasting|resources)[\w.]+)", text)
        paths = {f"{one.replace('.', '/')}.py" for one in imported}
        paths = {one for one in paths if (code_version.PACKAGE / one).exists()}
        assert paths - {"resources/snapshot.py"} <= covered


@pytest.mark.parametrize(
    ("name", "is_other"),
    [
        ("forecasting/features/history.py", True),
        ("resources/demand.py", True),
        ("forecasting/features/training.py", False),
        ("forecasting/training.py", False),
    ],
)
def test_features_have_a_version_of_their_own(tmp_path, monkeypatch, name: str, is_other: bool):
    place = tmp_path / "package"
    for one, path in code_version._files_of_the_package():
        (place / one).parent.mkdir(parents=True, exist_ok=True)
        (place / one).write_bytes(path.read_bytes())
    monkeypatch.setattr(code_version, "PACKAGE", place)
    before = feature_code_digest(), training_code_digest()

    (place / name).write_text(f"{(place / name).read_text()}\nANOTHER = 1\n")

    assert (feature_code_digest() != before[0]) is is_other
    assert training_code_digest() != before[1]


def test_a_members_own_module_is_part_of_the_version(tmp_path, monkeypatch):
    module = tmp_path / "own_member_of_the_test.py"
    module.write_text("DEPTH = 3")
    monkeypatch.syspath_prepend(str(tmp_path))
    members = ["own_member_of_the_test:Own"]
    before = training_code_digest(members)

    module.write_text("DEPTH = 12")

    assert training_code_digest() != before
    assert training_code_digest(members) != before


def test_what_started_a_run_is_read_as_it_was_written():
    assert triggered_by(trigger_tag([Trigger.DRIFT, Trigger.CODE])) == "code,drift"
    assert triggered_by({}) == "manual"
