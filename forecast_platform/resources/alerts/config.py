"""Who is told of what: the alerts file, read and held to its form.

Secrets are never in the file, only the names of environment variables that hold them. Sending is
in `sinks`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from forecast_platform.errors import BadAlerts
from forecast_platform.partitions import parse_region
from forecast_platform.resources.sources import did_you_mean
from forecast_platform.schemas.alerts import Kind, Severity

LOG: Final = "log"
"""Sink that is always there, and gets what no route takes."""

NAME: Final = r"[a-z][a-z0-9_]{0,30}"
VARIABLE: Final = r"[A-Z][A-Z0-9_]*"
ADDRESS: Final = r"[^@\s,;<>]+@[^@\s,;<>]+"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogTarget(_Strict):
    """Writes into the log of the sensor."""

    type: Literal["log"]


class EmailTarget(_Strict):
    """Hands messages to a mail server."""

    type: Literal["email"]
    host: str = Field(min_length=1, description="Mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`none` is for a relay on the same machine."
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates to trust instead of those of the system."
    )
    username_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Variable that holds the login's name."
    )
    password_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Variable that holds its password."
    )
    sender: str = Field(pattern=ADDRESS, description="Address that messages come from.")
    to: list[Annotated[str, Field(pattern=ADDRESS)]] = Field(
        min_length=1, description="Addresses that get them."
    )
    timeout_seconds: float = Field(default=10, gt=0, le=30, description="Longest wait [s].")

    @model_validator(mode="after")
    def _login_is_whole_and_hidden(self) -> Self:
        if (self.username_env is None) != (self.password_env is None):
            raise ValueError("a login needs both username_env and password_env")
        if self.username_env and self.security == "none":
            raise ValueError("a password is not sent in clear text: use security starttls or tls")
        return self


class WebhookTarget(_Strict):
    """Posts messages to a URL."""

    type: Literal["webhook"]
    format: Literal["teams", "slack", "json"] = Field(description="How the receiver reads them.")
    url_env: str = Field(
        pattern=VARIABLE, description="Variable that holds the URL: who knows it can post."
    )
    timeout_seconds: float = Field(default=10, gt=0, le=30, description="Longest wait [s].")
    max_tries: int = Field(
        default=3, ge=1, le=5, description="Tries before the message waits for the next tick."
    )


Target = Annotated[LogTarget | EmailTarget | WebhookTarget, Field(discriminator="type")]


class Route(_Strict):
    """Sends some alerts to some sinks; an alert goes to those of every route that takes it."""

    to: list[str] = Field(min_length=1, description="Names of sinks.")
    kinds: list[Kind] | None = Field(default=None, description="Kinds it takes; all by default.")
    severity: Severity = Field(
        default=Severity.INFO, description="The least severity that it takes."
    )
    regions: list[str] | None = Field(
        default=None, description="Regions it takes; all by default, with what has no region."
    )

    @field_validator("regions")
    @classmethod
    def _are_names(cls, regions: list[str] | None) -> list[str] | None:
        return None if regions is None else [parse_region(one) for one in regions]

    def takes(self, kind: Kind, severity: Severity, region: str) -> bool:
        """Whether an alert goes this way."""
        return (
            (self.kinds is None or kind in self.kinds)
            and severity.rank >= self.severity.rank
            and (self.regions is None or region in self.regions)
        )


class AlertsConfig(_Strict):
    """The alerts file."""

    sinks: dict[Annotated[str, Field(pattern=NAME)], Target] = Field(
        default_factory=dict, description="Where messages can go; `log` is always there."
    )
    routes: list[Route] = Field(default_factory=list, description="Who is told of what.")
    fold_hours: float = Field(
        default=24, ge=0, le=24 * 28, description="One message about a trouble in this time [h]."
    )
    missed_after_hours: float | None = Field(
        default=12,
        gt=0,
        le=24 * 6,
        description="A week is missed when it has no forecast so long after the schedule [h]; "
        "null tells of none.",
    )
    give_up_hours: float = Field(
        default=72, gt=0, description="A message that nobody takes for so long is given up [h]."
    )

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        known = self.targets
        for number, route in enumerate(self.routes):
            for name in route.to:
                if name not in known:
                    raise ValueError(
                        f"routes.{number}.to: {name!r} is no sink; there are {', '.join(known)}"
                        f"{did_you_mean(name, known)}"
                    )
        return self

    @property
    def targets(self) -> dict[str, LogTarget | EmailTarget | WebhookTarget]:
        """All sinks by name, the log among them."""
        return {LOG: LogTarget(type="log"), **self.sinks}

    def sinks_for(self, kind: Kind, severity: Severity, region: str) -> list[str]:
        """Name the sinks of an alert, in order; the log when no route takes it."""
        routes = (route for route in self.routes if route.takes(kind, severity, region))
        return list(dict.fromkeys(name for route in routes for name in route.to)) or [LOG]


def read_alerts_file(file: Path | None) -> AlertsConfig:
    """Read the alerts file; without one everything goes into the log.

    Raises
    ------
    BadAlerts
        If it cannot be read or has another form; each mistake is named with its place.
    """
    if file is None:
        return AlertsConfig()
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadAlerts(f"{file}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise BadAlerts(f"{file}: is not YAML: {error}") from error
    try:
        return AlertsConfig.model_validate({} if given is None else given)
    except ValidationError as error:
        listed = "; ".join(_told(one) for one in error.errors())
        raise BadAlerts(f"{file}: {listed}") from error


def _told(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        message = f"is not a key here{_hint(name, error['loc'])}"
    return f"{place}: {message}" if place else message


def _hint(name: str, loc: Iterable[Any]) -> str:
    """Name the key that is meant, or how a secret is given."""
    if name in {"url", "password", "username"}:
        return f": put it into an environment variable and name that in {name}_env"
    models = {"email": EmailTarget, "webhook": WebhookTarget, "log": LogTarget}
    model = next((models[part] for part in loc if part in models), None)
    if model is None:
        model = Route if "routes" in loc else AlertsConfig
    return did_you_mean(name, model.model_fields)
