"""CPU threads: their number and how they wait, set before torch is imported."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

SPIN_COUNT = "20000"
"""Number of spins before a waiting thread sleeps; `benchmarks/contention.py` compares counts.

Fewer spins, or none (``OMP_WAIT_POLICY=PASSIVE``), cost up to a quarter of the speed on an idle
machine, but are faster if other processes use the cores.
"""

_MEASURED_SECONDS = 0.15


def set_thread_defaults() -> None:
    """Set the environment variables that OpenMP reads once, when torch is imported.

    By default, a waiting thread spins for a long time. If other work keeps the cores busy, this
    can leave no core for the thread that it is waiting for. If at least half of the cores are busy
    now, waiting threads sleep at once; otherwise, after `SPIN_COUNT` spins. Values that the user
    set are kept.
    """
    if not any(name in os.environ for name in _WAITING):
        if busy_cores() >= _allowed_cores() / 2:
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        else:
            os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    cores = available_cores()
    if cores < _allowed_cores():  # torch ignores the quota
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def busy_cores(stat: Path = Path("/proc/stat"), seconds: float = _MEASURED_SECONDS) -> float:
    """Return how many of the allowed cores other processes keep busy, measured over ``seconds``.

    Returns 0 if ``/proc/stat`` cannot be read.
    """
    before = _core_times(stat)
    if not before:
        return 0.0
    time.sleep(seconds)
    spent = [
        (all_ - total, idle_ - idle)
        for (total, idle), (all_, idle_) in zip(before, _core_times(stat), strict=False)
    ]
    return sum(1 - idle / total for total, idle in spent if total > 0)


def _core_times(stat: Path) -> list[tuple[int, int]]:
    """Return the total and the idle time of each allowed core, in ticks."""
    allowed = {f"cpu{core}" for core in _affinity()}
    rows = [line.split() for line in _text(stat).splitlines()]
    times = [[int(field) for field in row[1:9]] for row in rows if row and row[0] in allowed]
    return [(sum(fields), fields[3] + fields[4]) for fields in times]  # idle and waiting for disks


def available_cores() -> int:
    """Return the number of cores that CPU affinity and the cgroup's quota allow this process."""
    quota = cgroup_quota()
    return _allowed_cores() if quota is None else min(_allowed_cores(), max(1, math.ceil(quota)))


def _allowed_cores() -> int:
    return len(_affinity())


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def cgroup_quota(
    groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """Return the lowest limit, in cores, of all the process's cgroups; None if unlimited.

    ``groups`` names the process's cgroups, version 2 as ``0::PATH`` and version 1 as
    ``N:CONTROLLERS:PATH``; they are folders under ``mounted``.
    """
    limits = []
    for line in _text(groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += [_limit(folder, "cpu.max") for folder in _levels(mounted, path)]
        elif "cpu" in controllers.split(","):
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            limits += [_limit(folder, *names) for folder in _levels(mounted / "cpu", path)]
    return min((limit for limit in limits if limit is not None), default=None)


def _levels(mounted: Path, path: str) -> list[Path]:
    """Return the folders of a cgroup and of its parents.

    In a container, the path may be the one on the host; then only the mount itself exists.
    """
    folder = mounted / path.strip("/")
    return [folder, *(above for above in folder.parents if above.is_relative_to(mounted))]


def _limit(folder: Path, *names: str) -> float | None:
    """Return the quota over the period, in cores; None without a quota (``max``, -1, no file)."""
    match " ".join(_text(folder / name) for name in names).split():
        case [quota, period] if quota.isdigit():
            return int(quota) / int(period)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
