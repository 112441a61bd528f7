"""One training a run: a lock on its folder that goes with the process that holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nsi_cli.support.errors import DataError
from nsi_cli.support.files import told_when_disk_fails

LOCK = ".lock"


@contextmanager
def alone(run: Path, *, first: bool = True) -> Iterator[None]:
    """Hold a run's folder alone among processes. Raises `DataError` where another trains it.

    Of processes that train one run together only the ``first`` holds it. A record lock: the
    system lets go of it when the process ends, however that is, and loader processes that were
    forked do not hold it in its place. Where there are no such locks nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        first = False
    if not first:
        yield
        return
    with told_when_disk_fails(run):
        file = (run / LOCK).open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX lets a system choose either
            file.seek(0)
            raise _taken(run, file.read().strip()) from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _taken(run: Path, holder: str) -> DataError:
    return DataError(
        f"run {run} is being trained right now" + (f", by {holder}" if holder else ""),
        "let it end, or stop it first: Ctrl-C or SIGTERM saves it",
    )
