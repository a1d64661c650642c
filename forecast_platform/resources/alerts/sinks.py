"""Handing a message over: to a mail server, to a URL, to a log.

A sink tries for a bounded time and says so when it did not work; trying again later is for
`notifier`. What a message says is in `messages`.
"""

import http.client
import json
import logging
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from forecast_platform.errors import NotDelivered
from forecast_platform.resources.alerts.config import (
    AlertsConfig,
    EmailTarget,
    LogTarget,
    WebhookTarget,
)
from forecast_platform.resources.alerts.messages import Message
from forecast_platform.schemas.alerts import Severity

if TYPE_CHECKING:
    from datetime import datetime

FIRST_PAUSE: Final = 0.5
"""Pause before the second try of a webhook; it doubles [s]."""

WORTH_A_RETRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}

Secrets = Callable[[str], str | None]
"""Looks the value of an environment variable up."""


class Sink(Protocol):
    """Where messages go."""

    def send(self, message: Message, now: "datetime") -> str:
        """Hand a message over; return what is worth noting about it.

        Raises
        ------
        NotDelivered
            If it was not taken.
        """
        ...


class LogSink:
    """Writes into a log; cannot fail."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def send(self, message: Message, now: "datetime") -> str:  # noqa: ARG002 - as every sink
        """Write the message at the level of its severity."""
        text = f"{message.subject}\n{message.as_text()}"
        self.logger.log(LEVELS[message.severity], "%s", text)
        return ""


class EmailSink:
    """Hands messages to a mail server."""

    def __init__(self, target: EmailTarget, secrets: Secrets) -> None:
        self.target = target
        self.secrets = secrets

    def send(self, message: Message, now: "datetime") -> str:
        """Send to all receivers at once; those that the server refused are noted."""
        target = self.target
        try:
            with self._connect() as server:
                if target.username_env and target.password_env:
                    server.login(
                        _secret(self.secrets, target.username_env),
                        _secret(self.secrets, target.password_env),
                    )
                refused = server.send_message(self._mail(message, now))
        except smtplib.SMTPAuthenticationError as error:
            raise NotDelivered(
                f"{target.host} refused the login of {target.username_env} ({error.smtp_code})"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"{target.host}:{target.port}: {_short(error)}") from error
        return f"refused: {', '.join(sorted(refused))}" if refused else ""

    def _connect(self) -> smtplib.SMTP:
        target = self.target
        if target.security == "none":
            return smtplib.SMTP(target.host, target.port, timeout=target.timeout_seconds)
        trusted = ssl.create_default_context(cafile=target.ca_file and str(target.ca_file))
        if target.security == "tls":
            return smtplib.SMTP_SSL(
                target.host, target.port, timeout=target.timeout_seconds, context=trusted
            )
        server = smtplib.SMTP(target.host, target.port, timeout=target.timeout_seconds)
        try:
            server.starttls(context=trusted)
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, message: Message, now: "datetime") -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.target.sender
        mail["To"] = ", ".join(self.target.to)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message.id}@{self.target.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.as_text())
        return mail


class WebhookSink:
    """Posts messages to a URL."""

    def __init__(
        self,
        target: WebhookTarget,
        secrets: Secrets,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target = target
        self.secrets = secrets
        self.sleep = sleep

    def send(self, message: Message, now: "datetime") -> str:  # noqa: ARG002 - as every sink
        """Post, again while the receiver is busy; a timeout is not tried again at once.

        After a timeout nobody knows whether the message was taken; its id is in the header
        ``Idempotency-Key`` and the same in every try.
        """
        url = _secret(self.secrets, self.target.url_env)
        if not url.startswith(("https://", "http://")):
            raise NotDelivered(f"{self.target.url_env} holds no http(s) URL")
        payload = {
            "teams": message.as_teams,
            "slack": message.as_slack,
            "json": message.as_json,
        }[self.target.format]()
        for left in reversed(range(self.target.max_tries)):
            problem = self._post(url, payload, message.id)
            if problem is None:
                return ""
            if not left or not problem.is_worth_a_retry:
                raise NotDelivered(f"the receiver of {self.target.url_env}: {problem.told}")
            self.sleep(FIRST_PAUSE * 2 ** (self.target.max_tries - 1 - left))
        raise AssertionError("the last try either returns or raises")  # pragma: no cover

    def _post(self, url: str, payload: Mapping[str, Any], id_: str) -> "_Problem | None":
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            url,
            data=json.dumps(payload).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": id_},
            method="POST",
        )
        try:
            with _opener().open(request, timeout=self.target.timeout_seconds) as answer:
                answer.read(4096)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return self._problem(error)
        return None

    def _problem(self, error: Exception) -> "_Problem":
        """Say what went wrong, and whether the receiver surely did not take the message."""
        if isinstance(error, urllib.error.HTTPError):
            with error:
                return _Problem(f"HTTP {error.code} {error.reason}", error.code in WORTH_A_RETRY)
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            told = f"no answer in {self.target.timeout_seconds:g} s"
            return _Problem(told, is_worth_a_retry=False)
        never_sent = isinstance(error, urllib.error.URLError)
        return _Problem(_short(reason), is_worth_a_retry=never_sent)


@dataclass(frozen=True, slots=True)
class _Problem:
    told: str
    is_worth_a_retry: bool


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without its message: that is a failure, not a delivery."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def build_sinks(
    config: AlertsConfig, *, secrets: Secrets, logger: logging.Logger
) -> dict[str, Sink]:
    """Make the sinks of an alerts file, by name; nothing is connected yet."""
    return {name: _build(target, secrets, logger) for name, target in config.targets.items()}


def _build(
    target: LogTarget | EmailTarget | WebhookTarget, secrets: Secrets, logger: logging.Logger
) -> Sink:
    if isinstance(target, EmailTarget):
        return EmailSink(target, secrets)
    if isinstance(target, WebhookTarget):
        return WebhookSink(target, secrets)
    return LogSink(logger)


def _secret(secrets: Secrets, name: str) -> str:
    value = secrets(name)
    if not value:
        raise NotDelivered(f"the environment variable {name} is not set")
    return value


def _short(error: object) -> str:
    """Tell an error in a line, without addresses or credentials that its text may hold."""
    told = getattr(error, "strerror", None) or getattr(error, "smtp_error", b"")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        told = str(error)
    if isinstance(told, bytes):
        told = told.decode(errors="replace")
    return f"{type(error).__name__}{f': {told}' if told else ''}"
