"""Typed settings of one deployment, read once from the environment.

Nothing else in the package reads the environment. Every variable is named
``FORECAST_PLATFORM_<FIELD>``, for example ``FORECAST_PLATFORM_LAKE_URI``.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from forecast_platform.forecasting.evaluation.guard_rails import FailoverRule
from forecast_platform.forecasting.evaluation.promotion import PromotionRule

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PROJECT_ROOT = Path(__file__).resolve().parent.parent

BUILT_IN_MEMBERS: Final = {
    "lasso": "forecast_platform.forecasting.models.lasso:LassoForecaster",
    "embedding_net": "forecast_platform.forecasting.models.embedding_net:EmbeddingNetForecaster",
}
TAKEN_NAMES: Final = ("ensemble", "historical_average", "y", "y_hat")
MEMBER_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
MEMBER_PATH: Final = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*:[A-Za-z_]\w*")
MIN_MEMBERS: Final = 1
MAX_MEMBERS: Final = 5
"""The weights are searched on a grid, which grows with the number of members."""


class Deployment(StrEnum):
    """Where the code runs: one code, three sets of settings."""

    LOCAL = "local"
    DEV = "dev"
    PROD = "prod"


class Settings(BaseSettings):
    """Everything that may differ between two installations."""

    model_config = SettingsConfigDict(
        env_prefix="FORECAST_PLATFORM_", env_nested_delimiter="__", frozen=True
    )

    deployment: Deployment = Field(
        default=Deployment.LOCAL, description="Which of local, dev and prod this is."
    )
    home: Path = Field(
        default=PROJECT_ROOT / "data",
        description="Folder of everything local: landing, lake, registry, Dagster's home.",
    )
    landing_uri: str = Field(
        default="", description="Folder or URI of delivered files; default <home>/landing."
    )
    landing_interval_seconds: int = Field(
        default=30, ge=1, description="Time between two looks at the landing area [s]."
    )
    max_refused_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Above this share of refused rows a source's week fails [fraction].",
    )
    settle_seconds: int = Field(
        default=0,
        ge=0,
        le=86400,
        description="How long a delivered file must not have changed before it is read, where its "
        "source does not say it [s].",
    )
    lake_uri: str = Field(
        default="", description="Folder or URI of the Delta tables; default <home>/lake."
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict,
        description="Options for deltalake and fsspec, as JSON: credentials, endpoints.",
        repr=False,
    )
    audit_days: int = Field(
        default=730,
        ge=1,
        description="How long old versions of tables can be read; maintenance removes what is "
        "older [days].",
    )
    keep_models_days: int = Field(
        default=730,
        ge=1,
        description="How long registered models that nothing refers to are kept, at least "
        "audit_days; maintenance deletes older ones [days].",
    )
    sources_file: Path | None = Field(
        default=None, description="YAML that maps delivered files to contracts; default packaged."
    )
    conditioning_target: Literal["run", "spark"] = Field(
        default="run", description="What runs the dbt models: DuckDB, or a local Spark (an extra)."
    )
    registry_uri: str = Field(
        default="", description="MLflow tracking URI; default SQLite in <home>/registry."
    )
    registry_artifacts_uri: str = Field(
        default="", description="Where models are kept; default <home>/registry/artifacts."
    )
    first_week: date = Field(default=date(2017, 1, 2), description="Monday of the first partition.")
    horizon: int = Field(default=4, ge=1, le=13, description="Weeks ahead to forecast [weeks].")
    training_weeks: int = Field(
        default=156, ge=8, description="History that a model is trained on [weeks]."
    )
    min_history_weeks: int = Field(
        default=26,
        ge=12,
        description="Below this history a region learns nothing by itself: see warm_start [weeks].",
    )
    warm_start: bool = Field(
        default=True,
        description="Whether a region with a history below min_history_weeks starts from models of "
        "other regions.",
    )
    warm_start_weeks: int = Field(
        default=8, ge=8, description="History that a warm start needs at least [weeks]."
    )
    epochs: int = Field(default=4, ge=1, description="Passes of the net over its training rows.")
    seed: int = Field(default=0, ge=0, description="Seed of every random choice in training.")
    threads: int = Field(default=1, ge=1, description="Threads of one training.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where nets are trained; auto is a GPU where there is one."
    )
    members: dict[str, str | None] = Field(
        default_factory=dict,
        description="Further members of the ensembles, as JSON from name to "
        "<module>:<class>; null for lasso or embedding_net leaves that one out.",
    )
    promotion: PromotionRule = Field(
        default_factory=PromotionRule,
        description='What a challenger must pass, as JSON, such as {"tolerance": 0.05}, or one '
        "variable for each bound: FORECAST_PLATFORM_PROMOTION__TOLERANCE.",
    )
    promotion_mode: Literal["auto", "manual"] = Field(
        default="auto",
        description="Whether a challenger that passes serves at once, or waits for "
        "`forecast-platform models approve`.",
    )
    failover: FailoverRule = Field(
        default_factory=FailoverRule,
        description="When a model may not serve, as JSON, or one variable for each bound: "
        "FORECAST_PLATFORM_FAILOVER__MAX_AGE_DAYS.",
    )
    retraining_interval_seconds: int = Field(
        default=300,
        ge=5,
        description="Time between two looks for a reason to train models again [s].",
    )
    max_retrainings_per_week: int = Field(
        default=3,
        ge=0,
        description="How often the retraining sensor trains a region's week again at most; 0 "
        "leaves all training to the timer, to new files and to you.",
    )
    git_commit: str = Field(
        default="", description="Commit the code was built from; default asks git once."
    )

    alerts_file: Path | None = Field(
        default=None,
        description="YAML that says who is told of what; by default all goes into the log.",
    )
    alerts_interval_seconds: int = Field(
        default=60, ge=5, description="Time between two looks for what is worth an alert [s]."
    )
    dagster_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=r"^https?://",
        description="Where people open Dagster's UI: alerts link to it.",
    )
    as_of: datetime | None = Field(
        default=None,
        description="A past time, such as 2024-03-20T06:00Z: tables are read as they were then, "
        "and what is made goes below <home>/as_of, with a registry and Dagster's records of its "
        "own.",
    )

    @field_validator("as_of")
    @classmethod
    def _is_in_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)

    @field_validator("members")
    @classmethod
    def _are_members(cls, value: dict[str, str | None]) -> dict[str, str | None]:
        for name, path in value.items():
            if not MEMBER_NAME.fullmatch(name):
                raise ValueError(f"a member's name is of a-z, 0-9 and '_', got {name!r}")
            if path is None and name not in BUILT_IN_MEMBERS:
                known = " and ".join(BUILT_IN_MEMBERS)
                raise ValueError(f"null leaves out {known}; {name} is no such member")
            if path is not None and name in (*BUILT_IN_MEMBERS, *TAKEN_NAMES):
                raise ValueError(f"the name {name} is taken: give your member another one")
            if path is not None and not MEMBER_PATH.fullmatch(path):
                raise ValueError(
                    f"member {name} is named as <module>:<class>, such as "
                    f"my_package.my_module:MyForecaster, got {path!r}"
                )
        if not MIN_MEMBERS <= len(_member_paths(value)) <= MAX_MEMBERS:
            raise ValueError(f"an ensemble has {MIN_MEMBERS} to {MAX_MEMBERS} members")
        return value

    @field_validator("first_week")
    @classmethod
    def _is_monday(cls, value: date) -> date:
        if value.weekday() != 0:
            raise ValueError(f"first_week must be a Monday, got {value:%A %Y-%m-%d}")
        return value

    @property
    def member_paths(self) -> dict[str, str]:
        """Import path of every member's class by its name, the built-in ones first."""
        return _member_paths(self.members)

    @property
    def landing(self) -> str:
        """Folder or URI where delivered files are found."""
        return self.landing_uri or str(self.home / "landing")

    @property
    def lake(self) -> str:
        """Folder or URI of the Delta tables; of the current ones also as of a past time."""
        return self.lake_uri or str(self.home / "lake")

    @property
    def state_home(self) -> Path:
        """Folder of what runs leave behind: ``home``, or one of its own for a past time."""
        if self.as_of is None:
            return self.home
        fraction = f".{self.as_of:%f}" if self.as_of.microsecond else ""
        return self.home / "as_of" / f"{self.as_of:%Y%m%dT%H%M%S}{fraction}Z"

    @property
    def registry(self) -> str:
        """MLflow tracking and registry URI."""
        named = "" if self.as_of else self.registry_uri
        return named or f"sqlite:///{self.state_home / 'registry' / 'mlflow.db'}"

    @property
    def registry_artifacts(self) -> str:
        """Root of the registered model files."""
        named = "" if self.as_of else self.registry_artifacts_uri
        return named or str(self.state_home / "registry" / "artifacts")

    @property
    def model_copies(self) -> Path:
        """Folder of the local copies of the models that served last."""
        return self.state_home / "registry" / "copies"

    @property
    def code_commit(self) -> str:
        """Git commit of the running code, or ``unknown`` outside a checkout."""
        return self.git_commit or _git_commit()


def _member_paths(members: dict[str, str | None]) -> dict[str, str]:
    both = {**BUILT_IN_MEMBERS, **members}
    return {name: path for name, path in both.items() if path is not None}


@cache
def _git_commit() -> str:
    command = ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(  # noqa: S603 - fixed command, no user input
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def get_settings() -> Settings:
    """Read the environment once."""
    return Settings()


def connection_url(name: str) -> str | None:
    """Look up the address of a customer's database, which a sources file names and never holds."""
    return os.environ.get(name)


def secret(name: str) -> str | None:
    """Look up a login or an address that an alerts file names and never holds."""
    return os.environ.get(name)


@contextmanager
def child_threads(threads: int) -> Iterator[None]:
    """Give processes that are started inside the block this many threads each.

    Libraries of matrix products take all cores unless told so when they are loaded; a number that
    the environment already holds is kept.
    """
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(threads)))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def go_back_to(as_of: datetime) -> Settings:
    """Put this process, and those that it starts, back to a past time, and return its settings."""
    os.environ["FORECAST_PLATFORM_AS_OF"] = as_of.isoformat()
    get_settings.cache_clear()
    return get_settings()
