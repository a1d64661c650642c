"""Mail servers and an HTTP endpoint, all real and in this process, and a log of alerts."""

import datetime as dt
import ipaddress
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forecast_platform.resources.alerts.config import AlertsConfig
from forecast_platform.resources.alerts.messages import Alert
from forecast_platform.resources.alerts.notifier import Notifier
from forecast_platform.resources.alerts.sinks import build_sinks
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import Kind, Severity
from forecast_platform_tests.receivers import Endpoint, Mailbox, free_port, http_endpoint

NOW = dt.datetime(2024, 3, 11, 12, tzinfo=dt.UTC)
LOGGER = logging.getLogger("forecast_platform.test_alerts")


def an_alert(name: str = "one", *, occurrence: str = "run-1", **fields: Any) -> Alert:
    """Something went wrong in `north`."""
    given = {
        "kind": Kind.RUN_FAILED,
        "severity": Severity.ERROR,
        "title": f"{name} failed",
        "happened": f"{name} failed because of <this & that>",
        "done": "What was there stays.",
        "todo": "Mend it.",
        "link": "http://127.0.0.1:3000/runs/abc",
        "region": "north",
    }
    return Alert(fingerprint=name, occurrence=occurrence, **(given | fields))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.PrivateFormat.PKCS8
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption())
    )
    return certificate, secret


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mail_server(mailbox: Mailbox) -> Iterator[Controller]:
    """A relay without login."""
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def guarded_server(mailbox: Mailbox, certificate: tuple[Path, Path]) -> Iterator[Controller]:
    """A server that wants STARTTLS, then a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=mailbox,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_endpoint() as state:
        yield state


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"))


MakeNotifier = Callable[..., Notifier]


@pytest.fixture
def make_notifier(lake: Lake) -> MakeNotifier:
    """Make a notifier as each tick does: it knows nothing but what the log tells."""

    def make(config: dict[str, Any], **secrets: str) -> Notifier:
        read = AlertsConfig.model_validate(config)
        sinks = build_sinks(read, secrets=secrets.get, logger=LOGGER)
        for sink in sinks.values():
            if hasattr(sink, "sleep"):
                sink.sleep = lambda seconds: None
        return Notifier(lake, read, sinks, "test")

    return make
