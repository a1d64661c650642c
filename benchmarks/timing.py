"""How long a call takes. What is measured is in the other modules."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One comparison: seconds of ours and of the peer for the same work."""

    name: str
    ours: float
    peer: float
    peer_name: str
    work: str

    @property
    def ratio(self) -> float:
        """Our time over the peer's; below 1 is faster."""
        return self.ours / self.peer


def best_of(call: Callable[[], object], tries: int = 5) -> float:
    """Return the shortest of several calls, after one to warm up [seconds]."""
    call()
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


@dataclass(frozen=True)
class Taken:
    """Medians of several calls, by the clock and of the processor [s]."""

    seconds: float
    cpu_seconds: float


def in_turns(
    ours: Callable[[], object], peer: Callable[[], object], tries: int = 5
) -> tuple[Taken, Taken]:
    """Call both sides in turns, so that other work on the machine meets both alike."""
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    for _ in range(tries):
        for call, times in zip((ours, peer), taken, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
    ours_taken, peer_taken = (
        Taken(*(statistics.median(side) for side in zip(*times, strict=True))) for times in taken
    )
    return ours_taken, peer_taken
