"""How long a call takes. What is measured is in the other modules."""

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
