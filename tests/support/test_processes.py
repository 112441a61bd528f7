"""Worker processes end when the command that started them ends, for whatever reason."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nsi_cli.support.processes import handle_stop_signals

_POOL = """
import os, time
from nsi_cli.support.workers import worker_pool

print("main ", end="")  # a worker that imports this script prints it too
with worker_pool(2) as pool:
    workers = {job.result() for job in [pool.submit(os.getpid) for _ in range(20)]}
    print(*workers, flush=True)
    time.sleep(60)
"""

# A batch that does not fit into a pipe, so that its worker blocks when the parent has ended.
_LOADER = """
import sys, time
from pathlib import Path
from nsi_cli.data.loading.loader import BatchDataset, LoaderOptions, make_dataloader
from nsi_cli.data.store.reader import open_store

class Endless(BatchDataset):
    def __getitem__(self, index):
        return bytes(1_000_000)

if __name__ == "__main__":
    store = open_store(Path(sys.argv[1]), "clevrtex")
    loader = make_dataloader(store, "train", LoaderOptions(batch_size=1, workers=2))
    loader.dataset.__class__ = Endless
    batches = iter(loader)
    next(batches)
    print(*(worker.pid for worker in batches._workers), flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("text", [_POOL, _LOADER], ids=["pool", "loader"])
def test_no_worker_outlives_its_parent(
    text: str, number: signal.Signals, store: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(text)
    parent = subprocess.Popen(
        [sys.executable, program, store],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    words = parent.stdout.readline().split()
    workers = [int(word) for word in words if word != "main"]
    assert words.count("main") == (1 if text == _POOL else 0)
    assert workers
    assert all(_runs(worker) for worker in workers)
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.1)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        replaced = handle_stop_signals(lambda number, _: received.append(number))
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in {**replaced, signal.SIGHUP: before}.items():
            signal.signal(number, handler)
    assert received == [signal.SIGTERM]


def _runs(process: int) -> bool:
    """Whether a process exists and is not a zombie."""
    result = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return bool(result.stdout.strip()) and not result.stdout.startswith("Z")
