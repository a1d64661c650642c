"""Locks on names, held while somebody reads a registry, decides and writes.

MLflow's aliases know no compare-and-swap; this is the missing half. What is done under a lock
belongs to the callers.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from forecast_platform.errors import RegistryUnavailable

PATIENCE: Final = 600.0
"""How long a lock is waited for: judging years of history takes minutes [s]."""

LOOK_AGAIN: Final = 0.02
"""Time between two tries of a file lock [s]."""


@contextmanager
def locked(tracking_uri: str, names: Sequence[str], folder: str) -> Iterator[None]:
    """Hold locks on some names, in one order, so that two holders never wait for each other.

    Parameters
    ----------
    tracking_uri : str
        A PostgreSQL registry locks in its database: it holds off every machine.
    names : Sequence[str]
    folder : str
        Where the lock files of every other registry are: they hold off processes of this machine.

    Raises
    ------
    RegistryUnavailable
        If the database does not answer, or somebody holds a lock for ten minutes.
    """
    ordered = sorted(set(names))
    if tracking_uri.startswith("postgresql"):
        with _in_database(tracking_uri, ordered):
            yield
    else:
        with _in_files(Path(folder or Path(tempfile.gettempdir()) / "forecast-platform"), ordered):
            yield


@contextmanager
def _in_files(folder: Path, names: Sequence[str]) -> Iterator[None]:
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    held: list[int] = []
    try:
        for name in names:
            file = os.open(folder / f"{_digest(name)}.lock", os.O_CREAT | os.O_RDWR, 0o600)
            held.append(file)
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    _give_up_after(until, name)
                    time.sleep(LOOK_AGAIN)
        yield
    finally:
        for file in held:
            os.close(file)  # which gives the lock back, as the death of the process does


@contextmanager
def _in_database(uri: str, names: Sequence[str]) -> Iterator[None]:
    """Hold advisory locks of a session: they end with it, also when its process dies."""
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    engine = sa.create_engine(
        uri,
        poolclass=sa.NullPool,
        connect_args={"connect_timeout": 5},
        isolation_level="AUTOCOMMIT",
    )
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise RegistryUnavailable(
            f"the model registry cannot be reached: {type(error).__name__}"
        ) from error
    try:
        try:
            connection.execute(sa.text(f"SET lock_timeout = {int(PATIENCE * 1000)}"))
            for name in names:
                key = int(_digest(name)[:15], 16)
                connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        except SQLAlchemyError as error:
            raise RegistryUnavailable(f"no lock on {', '.join(names)}: {error.args[0]}") from error
        yield
    finally:
        connection.close()
        engine.dispose()


def _give_up_after(until: float, name: str) -> None:
    if time.monotonic() > until:
        raise RegistryUnavailable(
            f"{name} is being promoted by another process for {PATIENCE:.0f} s: see what it does"
        )


def _digest(name: str) -> str:
    return sha256(f"forecast_platform/{name}".encode()).hexdigest()[:32]
