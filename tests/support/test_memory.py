"""Memory that is freed again and again stays in the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from nsi_cli.support.memory import _SET_BY_USER

SCRIPT = """
import resource
import sys
import numpy as np
from nsi_cli.support.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])
before = resident_pages()
np.ones(2**23)
print((resident_pages() - before) * resource.getpagesize() / 2**20)
"""


def kept_mib(how: str, **variables: str) -> float:
    """The MiB that stay in a process after it has written and freed a block of 64 MiB.

    Not the page faults: how many there are depends on the sizes of the system's pages.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _SET_BY_USER}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], env=environment | variables, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the options")
@pytest.mark.slow
def test_a_freed_block_is_kept_unless_the_user_has_set_glibcs_variables() -> None:
    assert kept_mib("default") < 16
    assert kept_mib("keep") > 48
    assert kept_mib("keep", MALLOC_TRIM_THRESHOLD_="131072") < 16
