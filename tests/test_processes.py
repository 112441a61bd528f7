"""Worker processes end with the command that started them, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PROGRAM = """
import os, sys, time
from nsi_cli.processes import worker_pool

if __name__ == "__main__":
    with worker_pool(2) as pool:
        workers = {job.result() for job in [pool.submit(os.getpid) for _ in range(20)]}
        print(*workers, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(number: signal.Signals, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    parent = subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert workers
    assert all(_runs(worker) for worker in workers)
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.1)


def _runs(process: int) -> bool:
    """Whether a process is there and no zombie that nobody has collected."""
    told = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return bool(told.stdout.strip()) and not told.stdout.startswith("Z")
