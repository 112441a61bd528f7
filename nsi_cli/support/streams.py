"""Redirecting what plugins print to stderr, because stdout is reserved for results."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from nsi_cli.support.errors import PluginError


class ClosedDescriptorError(PluginError):
    """A plugin closed or replaced file descriptors that belong to the process."""


@contextlib.contextmanager
def output_to_stderr() -> Iterator[None]:
    """Redirect ``sys.stdout`` and file descriptor 1 to stderr, and descriptor 0 to no input.

    The descriptors are restored afterwards. Raises `ClosedDescriptorError` if the body closed or
    replaced one of them, or closed the copies that restore them.
    """
    _flush()
    copies = {fd: os.dup(fd) for fd in (0, 1, 2) if _identity(fd)}
    if 0 in copies:
        _redirect(0, _empty_input())
    if 1 in copies:
        _redirect(1, os.dup(2) if 2 in copies else os.open(os.devnull, os.O_WRONLY))
    before = {fd: _identity(fd) for fd in copies}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        intact = all(_identity(fd) == before[fd] for fd in copies)
        for fd, copy in copies.items():
            try:
                os.dup2(copy, fd)
                os.close(copy)
            except OSError:
                intact = False
        if not intact:
            raise ClosedDescriptorError(
                "its import closed or replaced file descriptors of the process",
                "fix the plugin: it must not close or replace descriptors that it did not open",
            )


def _redirect(descriptor: int, target: int) -> None:
    """Redirect ``descriptor`` to the file of ``target``, and close ``target``."""
    os.dup2(target, descriptor)
    os.close(target)


def _empty_input() -> int:
    """Open an empty pipe for reading, because /dev/null is a regular file in some containers."""
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return the device and inode of a descriptor's file; None if the descriptor is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _flush() -> None:
    """Write what Python and C libraries have buffered for stdout."""
    for stream in (sys.__stdout__, sys.stderr):
        with contextlib.suppress(Exception):
            if stream:
                stream.flush()
    with contextlib.suppress(Exception):  # some systems lack ctypes or cannot open libc this way
        import ctypes

        ctypes.CDLL(None).fflush(None)
