"""Freed memory: kept by the process, so that the next step can reuse it."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

LARGEST_KEPT = 2**28
"""Bytes of the largest block that is kept when it is freed."""


def keep_freed_memory() -> None:
    """Keep freed blocks in this process instead of returning them to the system.

    A training step allocates and frees the same large tensors again and again. By default, glibc
    returns most of them to the system, so that every step maps the same memory anew, page by page.
    Without effect on other C libraries, and if the user has set one of glibc's own variables.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SET_BY_USER):
        return
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    set_option(_MMAP_THRESHOLD, LARGEST_KEPT)
    set_option(_TRIM_THRESHOLD, 2**31 - 1)
