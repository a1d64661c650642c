"""Messages arrive at a real mail server and a real HTTP endpoint, or it is said why not."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from forecast_platform.errors import NotDelivered
from forecast_platform.resources.alerts.config import EmailTarget, WebhookTarget
from forecast_platform.resources.alerts.messages import Line, Message
from forecast_platform.resources.alerts.sinks import EmailSink, LogSink, WebhookSink
from forecast_platform.schemas.alerts import Event
from forecast_platform_tests.receivers import LOGIN, Endpoint, Mailbox, free_port
from forecast_platform_tests.unit.alerts.conftest import LOGGER, NOW, an_alert

ONE = Message("id-1", [Line(an_alert("the run"), Event.RAISED)])
MANY = Message("id-2", [Line(an_alert(f"run {number}"), Event.RAISED) for number in range(60)])
BY_NAME = {"username_env": "MAIL_USER", "password_env": "MAIL_PASSWORD"}
SECRETS = {"MAIL_USER": LOGIN[0], "MAIL_PASSWORD": LOGIN[1]}


def mail_sink(port: int, secrets: dict[str, str] | None = None, **fields: Any) -> EmailSink:
    given = {
        "type": "email",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "forecasts@example.org",
        "to": ["ops@example.org", "planning@example.org"],
        "timeout_seconds": 5,
    }
    return EmailSink(EmailTarget.model_validate(given | fields), (secrets or {}).get)


def hook(url: str, form: str = "json", **fields: Any) -> tuple[WebhookSink, list[float]]:
    pauses: list[float] = []
    given = {"type": "webhook", "format": form, "url_env": "HOOK", "timeout_seconds": 5}
    target = WebhookTarget.model_validate(given | fields)
    return WebhookSink(target, {"HOOK": url}.get, pauses.append), pauses


def test_a_mail_says_what_happened_what_was_done_and_what_to_do(
    mail_server: Controller, mailbox: Mailbox
):
    mail_sink(mail_server.port).send(ONE, NOW)

    [mail] = mailbox.mails
    assert mail["Subject"] == "[forecast-platform] ERROR: the run failed"
    assert mailbox.receivers == [["ops@example.org", "planning@example.org"]]
    assert mail["Message-ID"] == "<id-1@example.org>"
    text = mail.get_content()
    for part in ("What happened: ", "Done automatically: ", "What to do: Mend it.", "Link: http"):
        assert part in text


def test_a_login_goes_over_tls_only(
    guarded_server: Controller, mailbox: Mailbox, certificate: tuple[Path, Path]
):
    sink = mail_sink(
        guarded_server.port,
        SECRETS,
        security="starttls",
        ca_file=certificate[0],
        **BY_NAME,
    )

    sink.send(ONE, NOW)

    assert len(mailbox.mails) == 1
    assert mailbox.logins == [(b"robot", b"s3cret")]


def test_a_wrong_password_is_told_without_the_password(
    guarded_server: Controller, mailbox: Mailbox, certificate: tuple[Path, Path]
):
    sink = mail_sink(
        guarded_server.port,
        SECRETS | {"MAIL_PASSWORD": "hunter2"},
        security="starttls",
        ca_file=certificate[0],
        **BY_NAME,
    )

    with pytest.raises(NotDelivered, match="refused the login of MAIL_USER") as problem:
        sink.send(ONE, NOW)

    assert "hunter2" not in str(problem.value)
    assert mailbox.mails == []


def test_a_server_with_an_unknown_certificate_gets_nothing(
    guarded_server: Controller, mailbox: Mailbox
):
    sink = mail_sink(guarded_server.port, security="starttls")

    with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
        sink.send(ONE, NOW)

    assert mailbox.mails == []


def test_a_receiver_that_the_server_refuses_does_not_stop_the_others(
    mail_server: Controller, mailbox: Mailbox
):
    mailbox.refused = {"ops@example.org"}

    detail = mail_sink(mail_server.port).send(ONE, NOW)

    assert mailbox.receivers == [["planning@example.org"]]
    assert detail == "refused: ops@example.org"


def test_a_mail_without_any_receiver_was_not_delivered(mail_server: Controller, mailbox: Mailbox):
    mailbox.refused = {"ops@example.org", "planning@example.org"}

    with pytest.raises(NotDelivered, match="SMTPRecipientsRefused"):
        mail_sink(mail_server.port).send(ONE, NOW)


def test_a_mail_server_that_is_not_there_is_named():
    port = free_port()

    with pytest.raises(NotDelivered, match=f"127.0.0.1:{port}: ConnectionRefusedError"):
        mail_sink(port).send(ONE, NOW)


def test_a_mail_server_that_never_speaks_is_left():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        sink = mail_sink(silent.getsockname()[1], timeout_seconds=0.2)

        with pytest.raises(NotDelivered, match="timed out"):
            sink.send(ONE, NOW)


def test_many_alerts_make_one_mail_that_tells_ten_in_full(
    mail_server: Controller, mailbox: Mailbox
):
    mail_sink(mail_server.port).send(MANY, NOW)

    [mail] = mailbox.mails
    assert mail["Subject"] == "[forecast-platform] ERROR: 60 alerts: run failed"
    text = mail.get_content()
    assert text.count("What to do") == 10
    assert "Further 50: run 10 failed; " in text.replace("\n", " ")
    assert "and 10 more" in text


def test_a_title_cannot_smuggle_headers_into_a_mail(mail_server: Controller, mailbox: Mailbox):
    line = Line(an_alert(title="x\r\nBcc: eve@example.org"), Event.RAISED)

    mail_sink(mail_server.port).send(Message("id", [line]), NOW)

    [mail] = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].endswith("ERROR: x Bcc: eve@example.org")


def test_slack_gets_blocks_in_which_text_is_no_markup(endpoint: Endpoint):
    sink, _ = hook(endpoint.url, "slack")

    sink.send(ONE, NOW)

    [body] = endpoint.taken
    told = "\n".join(block["text"]["text"] for block in body["blocks"])
    assert body["text"] == "[forecast-platform] ERROR: the run failed"
    assert "&lt;this &amp; that&gt;" in told
    assert "<" not in told


def test_slack_takes_a_message_about_many(endpoint: Endpoint):
    sink, _ = hook(endpoint.url, "slack")

    sink.send(MANY, NOW)

    [body] = endpoint.taken
    assert len(body["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in body["blocks"])


def test_teams_gets_an_adaptive_card(endpoint: Endpoint):
    sink, _ = hook(endpoint.url, "teams")

    sink.send(ONE, NOW)

    [attachment] = endpoint.taken[0]["attachments"]
    title, facts = attachment["content"]["body"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (title["text"], title["color"]) == (
        "[forecast-platform] ERROR: the run failed",
        "Attention",
    )
    assert {fact["title"] for fact in facts["facts"]} == {
        "What happened",
        "Done automatically",
        "What to do",
        "Link",
    }


def test_a_receiver_that_stumbles_once_gets_the_message_once(endpoint: Endpoint):
    endpoint.statuses = [500, 503]
    sink, pauses = hook(endpoint.url)

    sink.send(ONE, NOW)

    assert len(endpoint.asked) == 3
    assert len(endpoint.taken) == 1
    assert set(endpoint.ids) == {"id-1"}
    assert pauses == [0.5, 1.0]


def test_tries_are_bounded(endpoint: Endpoint):
    endpoint.statuses = [500] * 10
    sink, _ = hook(endpoint.url, max_tries=2)

    with pytest.raises(NotDelivered, match="HTTP 500"):
        sink.send(ONE, NOW)

    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404])
def test_what_no_retry_mends_is_not_tried_again_at_once(endpoint: Endpoint, status: int):
    endpoint.statuses = [status]
    sink, pauses = hook(endpoint.url)

    with pytest.raises(NotDelivered, match=f"HTTP {status}"):
        sink.send(ONE, NOW)

    assert (len(endpoint.asked), pauses) == (1, [])


def test_a_slow_receiver_is_waited_for_once_within_its_time(endpoint: Endpoint):
    endpoint.pause = 0.3
    patient, _ = hook(endpoint.url)
    hasty, pauses = hook(endpoint.url, timeout_seconds=0.05)

    patient.send(ONE, NOW)
    with pytest.raises(NotDelivered, match="no answer in"):
        hasty.send(ONE, NOW)

    assert len(endpoint.asked) == 2
    assert pauses == []


def test_a_refused_connection_is_tried_again_and_told_without_the_url():
    sink, pauses = hook(f"http://127.0.0.1:{free_port()}/secret-path")

    with pytest.raises(NotDelivered, match="ConnectionRefusedError") as problem:
        sink.send(ONE, NOW)

    assert len(pauses) == 2
    assert "secret-path" not in str(problem.value)


@pytest.mark.parametrize("url", ["", "ftp://example.org/x", "file:///etc/passwd"])
def test_only_a_web_address_is_posted_to(url: str):
    sink, _ = hook(url)

    with pytest.raises(NotDelivered, match="HOOK"):
        sink.send(ONE, NOW)


def test_the_log_gets_the_level_of_the_worst_alert(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, LOGGER.name):
        LogSink(LOGGER).send(ONE, NOW)

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "What to do: Mend it." in record.message
