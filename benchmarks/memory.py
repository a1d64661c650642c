"""How much memory a process has held. What it did is in the other modules."""

import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Return the largest memory that this program has held since it was started [MiB].

    Not ``ru_maxrss`` where there is better: on Linux a child starts with its parent's, so one that
    is smaller than the process which started it would seem to need nothing.
    """
    if STATUS.exists():
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
