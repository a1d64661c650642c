"""Dagster's SQLite event log with its connections kept open, for processes that write much.

Dagster opens, flushes and closes a database for every event, twice for each partition of each
asset. Measured on a run of 2 regions, 56 weeks and 15 assets (1,680 partitions): 213 s, 52 of them
CPU; with connections kept open 44 s, 21 of them CPU. The files and their content are the same; the
UI and the daemon read them as ever.

Dagster also writes a row for each partition of each planned check, and looks up on every event
whether a table is there: 31 of 141 CPU s of a run of 392 region-weeks and 73 checks. A run has one
verdict for all of its partitions, so one planned row is enough: the others would be left behind it,
shown as skipped.

SQLite flushes at checkpoints only (``synchronous = NORMAL``): a killed process loses nothing; a
power cut may lose the last recorded events, never the tables.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.event import listens_for
from sqlalchemy.pool import StaticPool

MAX_OPEN: Final = 3
"""Databases kept open: the index, and the last runs'."""


class OpenEventLogStorage(SqliteEventLogStorage):
    """The default storage of events, with the last used databases kept open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        self._known_tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Build the storage from its configuration."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> sa.Engine:
        engine = self._engines.pop(shard, None) or _open(self.conn_string_for_shard(shard))
        self._engines[shard] = engine
        while len(self._engines) > MAX_OPEN:
            _, oldest = self._engines.popitem(last=False)
            oldest.dispose()
        return engine

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; one that was there once is not looked for again."""
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def _store_asset_check_evaluation_planned(
        self, event: dg.EventLogEntry, event_id: int | None
    ) -> None:
        """Plan a check that one run makes of many partitions in one row, as its verdict is."""
        happened = event.dagster_event
        planned = happened.event_specific_data if happened else None
        if happened and isinstance(planned, AssetCheckEvaluationPlanned):
            subset = planned.partitions_subset
            if subset is not None and len(subset) > 1:
                planned = AssetCheckEvaluationPlanned(
                    asset_key=planned.asset_key, check_name=planned.check_name
                )
                event = event._replace(dagster_event=happened._replace(event_specific_data=planned))
        super()._store_asset_check_evaluation_planned(event, event_id)

    def dispose(self) -> None:
        """Close all databases."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


def _open(url: str) -> sa.Engine:
    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args=arguments)

    @listens_for(engine, "connect")
    def _flush_at_checkpoints(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine


@contextmanager
def open_busy_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance at ``home`` for much writing.

    An instance that keeps its events elsewhere, such as in PostgreSQL, is opened as it is.
    """
    with dg.DagsterInstance.from_config(str(home)) as usual:
        is_default = type(usual.event_log_storage) is SqliteEventLogStorage
        base_dir = getattr(usual.event_log_storage, "_base_dir", "")
        if not is_default:
            yield usual
            return
    storage = {
        "module": __name__,
        "class": OpenEventLogStorage.__name__,
        "config": {"base_dir": base_dir},
    }
    reference = InstanceRef.from_dir(str(home), overrides={"event_log_storage": storage})
    with dg.DagsterInstance.from_ref(reference) as instance:
        yield instance
