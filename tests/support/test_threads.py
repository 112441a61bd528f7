"""The number of threads and how they wait; the user's own settings are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.support.threads import (
    SPIN_COUNT,
    available_cores,
    busy_cores,
    cgroup_quota,
    set_thread_defaults,
)

# Prints the settings when torch is about to be imported.
_PROGRAM = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
            print(*map(os.environ.get, names))
            os._exit(0)
sys.meta_path.insert(0, Finder())
sys.argv = ["nsi", "eval", "nowhere"]
import nsi_cli.support.threads as threads
threads.cgroup_quota = lambda: None  # this machine's may set a number of threads
from nsi_cli.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None None"),
        ({"GOMP_SPINCOUNT": "5", "OMP_NUM_THREADS": "3"}, "None 5 3"),
    ],
)
def test_threads_are_set_before_torch_is_imported_unless_the_user_set_them(
    variables: dict[str, str], printed: str
) -> None:
    others = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=others | variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == printed, done.stderr


@pytest.mark.parametrize(
    ("busy", "set_to"),
    [(0.0, ("GOMP_SPINCOUNT", SPIN_COUNT)), (1.0, ("OMP_WAIT_POLICY", "PASSIVE"))],
)
def test_threads_wait_less_beside_other_work(
    busy: float, set_to: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {})
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr("nsi_cli.support.threads.cgroup_quota", lambda: None)
    monkeypatch.setattr("nsi_cli.support.threads.busy_cores", lambda: busy)
    set_thread_defaults()
    assert os.environ == dict([set_to])


def test_busy_cores_are_those_of_the_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / "stat"

    def write(ticks: int) -> None:
        """Core 0 idle, 1 busy, 2 stolen by another machine, 3 waiting for a disk, 4 half busy."""
        rows = [(0, 0, 0, 1, 0), (1, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 1),
                (1, 0, 0, 1, 0)]  # fmt: skip
        lines = [
            f"cpu{core} " + " ".join(str(ticks * field) for field in (*row, *[0] * (10 - len(row))))
            for core, row in enumerate(rows)
        ]
        stat.write_text("\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *lines, "intr 5 6", ""]))

    monkeypatch.setattr("time.sleep", lambda _: write(20))
    for affinity, busy in (({0, 1, 2, 3, 4}, 2.5), ({0, 3}, 0.0), ({1}, 1.0)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, own=affinity: own, raising=False)
        write(3)
        assert busy_cores(stat) == busy
    assert busy_cores(tmp_path / "missing") == 0


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "150000 100000"}, 0.5),
        ("0::/path/on/the/host\n", {"cpu.max": "400000 100000"}, 4.0),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {}, None),
        (
            "5:memory:/a\n3:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        (
            "1:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
        ),
        ("", {}, None),
    ],
)
def test_the_quota_is_the_lowest_of_a_cgroup_and_its_parents(
    groups: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "groups").write_text(groups)
    assert cgroup_quota(tmp_path / "groups", tmp_path / "mounted") == quota


def test_available_cores_follow_the_affinity_and_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    for quota, cores in [(None, 3), (1.5, 2), (0.2, 1), (8.0, 3)]:
        monkeypatch.setattr("nsi_cli.support.threads.cgroup_quota", lambda quota=quota: quota)
        assert available_cores() == cores
