"""Execute chains of runs in worker processes, and follow them while they run.

Processes are spawned: the lake's library cannot be used after a fork. Their output goes to
``<dagster home>/logs/worker-<pid>.log``.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Final

import dagster as dg

from forecast_platform.launching.boxes import Box
from forecast_platform.launching.execution import Outcome, broken_off, execute_chain
from forecast_platform.launching.instance import close_lost_runs
from forecast_platform.settings import child_threads, get_settings

POLL_SECONDS: Final = 0.5

_STEP_EVENTS = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS}


@dataclass(frozen=True)
class Progress:
    """How far one run is, told to the caller while it runs."""

    box: Box
    step: str
    steps_done: int
    is_finished: bool = False
    has_failed: bool = False


def launch(
    chains: Sequence[Sequence[Box]],
    *,
    home: Path,
    workers: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[Outcome]:
    """Execute chains of runs in worker processes and wait for all of them.

    Parameters
    ----------
    chains : sequence of sequence of Box
        From `plan`.
    home : Path
        Dagster's home, made by `prepare_home`.
    workers : int
        Processes. They are spawned: the lake's library cannot be used after a fork. Each has the
        setting ``threads`` of threads, so that they do not fight for cores.
    on_progress : callable
        Called in this process a few times a second.

    Returns
    -------
    list of Outcome
        One for each run, in the order in which their chains ended.
    """
    pool = ProcessPoolExecutor(
        max_workers=max(1, min(workers, len(chains))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(str(home),),
    )
    outcomes: list[Outcome] = []
    threads = child_threads(get_settings().threads)
    with threads, pool, dg.DagsterInstance.from_config(str(home)) as instance:
        close_lost_runs(instance)
        try:
            pending = {pool.submit(execute_chain, chain, str(home)): chain for chain in chains}
            watch = _Watch(instance, [box for chain in chains for box in chain], on_progress)
            while pending:
                done, _ = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                watch.look()
                for future in done:
                    outcomes += _outcomes_of(future, pending.pop(future))
        except BaseException:
            for process in list(pool._processes.values()):  # noqa: SLF001 - no public way
                process.terminate()
            raise
        finally:
            close_lost_runs(instance)
    return outcomes


def _outcomes_of(future: "Future[list[Outcome]]", chain: Sequence[Box]) -> list[Outcome]:
    error = future.exception()
    if error is None:
        return future.result()
    message = f"The worker process broke off ({type(error).__name__}: {error})."
    return [broken_off(box, message) for box in chain]


class _Watch:
    """Follows the steps of the planned runs in the instance's event log."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        boxes: Sequence[Box],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._instance = instance
        self._open = {box.run_id: box for box in boxes}
        self._cursors: dict[str, str] = {}
        self._done: dict[str, int] = {}
        self._on_progress = on_progress

    def look(self) -> None:
        """Tell the caller about steps since the last look."""
        if not self._open:
            return
        runs = self._instance.get_runs(dg.RunsFilter(run_ids=list(self._open)))
        for run in runs:
            self._follow(run.run_id)
            if run.is_finished:
                box = self._open.pop(run.run_id)
                done = self._done.get(box.run_id, 0)
                failed = not run.is_success
                self._on_progress(Progress(box, "", done, is_finished=True, has_failed=failed))

    def _follow(self, run_id: str) -> None:
        page = self._instance.get_records_for_run(
            run_id, cursor=self._cursors.get(run_id), of_type=_STEP_EVENTS
        )
        self._cursors[run_id] = page.cursor
        for record in page.records:
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            if event.is_step_success:
                self._done[run_id] = self._done.get(run_id, 0) + 1
            step = event.step_key or ""
            box = self._open[run_id]
            self._on_progress(Progress(box, step, self._done.get(run_id, 0)))


def _start_worker(home: str) -> None:
    """Send this process's output to a file, and end when the launching process ends."""
    log = Path(home) / "logs" / f"worker-{os.getpid()}.log"
    log.parent.mkdir(exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
