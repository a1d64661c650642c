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
