"""Settings: one typed object from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from forecast_platform.settings import Settings


def test_everything_local_lies_below_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert settings.landing == str(tmp_path / "landing")
    assert settings.lake == str(tmp_path / "lake")
    assert settings.registry == f"sqlite:///{tmp_path}/registry/mlflow.db"


def test_a_uri_wins_over_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_PLATFORM_LAKE_URI", "az://lake/demand")

    assert Settings().lake == "az://lake/demand"


def test_the_first_week_must_be_a_monday(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_PLATFORM_FIRST_WEEK", "2017-01-01")

    with pytest.raises(ValidationError, match="Sunday"):
        Settings()


def test_credentials_do_not_show_in_the_repr() -> None:
    settings = Settings(storage_options={"account_key": "canary"})

    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        pytest.param('{"Mine": "a.b:C"}', "a-z, 0-9", id="name"),
        pytest.param('{"ensemble": "a.b:C"}', "is taken", id="taken"),
        pytest.param('{"lasso": "a.b:C"}', "is taken", id="built-in"),
        pytest.param('{"mine": "a.b.C"}', "<module>:<class>", id="path"),
        pytest.param('{"mine": "os;x:C"}', "<module>:<class>", id="not-a-module"),
        pytest.param('{"mine": null}', "leaves out lasso and embedding_net", id="null"),
        pytest.param('{"lasso": null, "embedding_net": null}', "1 to 5 members", id="none"),
    ],
)
def test_members_that_cannot_be_are_refused(
    members: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_PLATFORM_MEMBERS", members)

    with pytest.raises(ValidationError, match=told):
        Settings()


def test_a_member_is_added_to_the_built_in_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_PLATFORM_MEMBERS", '{"mine": "a.b:C"}')

    assert list(Settings().member_paths) == ["lasso", "embedding_net", "mine"]
    assert Settings().member_paths["mine"] == "a.b:C"
