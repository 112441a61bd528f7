"""A loader's worker that raises or is killed ends the iteration with an error."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from nsi_cli.data.loading.loader import LoaderOptions, make_dataloader
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError

OPTIONS = LoaderOptions(batch_size=4, workers=1)


class Items(Dataset[Any]):
    """Bytes, more than a pipe holds; or an error in place of the second item."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __len__(self) -> int:
        return 100

    def __getitem__(self, place: int) -> bytes:
        if place == 1 and self.error:
            raise self.error
        return bytes(3_000_000)


def _loader(error: Exception | None = None, workers: int = 1) -> DataLoader[Any]:
    return DataLoader(
        Items(error), batch_size=None, num_workers=workers, multiprocessing_context="fork"
    )


def test_an_error_of_the_store_is_the_same_from_a_worker(store: Store) -> None:
    os.truncate(store.path / "images.h5", 3000)
    errors = []
    for workers in (0, 1):
        with pytest.raises(DataError) as caught:
            list(batches_of(make_dataloader(store, "train", replace(OPTIONS, workers=workers))))
        errors.append((caught.value.message, caught.value.hint))
    assert errors[0] == errors[1]
    assert errors[0][1], "there is no hint to lose"


@pytest.mark.parametrize(
    "error",
    [
        DataError("scene 1: DataError: no image", "take another"),
        DataError("no image"),
        ValueError("a message\nof two lines"),
    ],
)
def test_an_error_of_a_plugins_loader_is_raised_as_it_was(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        list(batches_of(_loader(error)))
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "hint", None) == getattr(error, "hint", None)
    assert "in __getitem__" in str(caught.value.__cause__), "the traceback is lost"


@pytest.fixture
def no_sigchld_handler() -> Iterator[None]:
    """As in a command, which iterates in no main thread: torch installs its handler only there."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.slow
@pytest.mark.usefixtures("no_sigchld_handler")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_ends_the_iteration(workers: int) -> None:
    before = set(active_children())
    batches = batches_of(_loader(workers=workers))
    next(batches)
    worker, *others = set(active_children()) - before
    time.sleep(0.3)  # half of its next item is then in the pipe: torch waits for the rest
    os.kill(worker.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(DataError, match=rf"worker \(process {worker.pid}\) was killed \(signal 9"):
        list(batches)
    assert time.monotonic() - began < 30
    for other in others:
        other.join(30)
    assert not {worker, *others} & set(active_children())


def test_no_worker_and_no_thread_is_left_of_an_iteration_that_is_broken_off() -> None:
    workers, threads = set(active_children()), set(threading.enumerate())
    for _ in batches_of(_loader(workers=2)):
        break
    until = time.monotonic() + 30  # the threads of torch's queues end a little later
    while not set(threading.enumerate()) <= threads and time.monotonic() < until:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= threads
    assert set(active_children()) <= workers
