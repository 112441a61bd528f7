"""Memory that is freed again and again stays in the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from nsi_cli.support.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23)
before = faults()
for _ in range(8):
    np.ones(2**23)
print(faults() - before)
"""


def page_faults(how: str, **variables: str) -> int:
    """The page faults of eight times allocating, writing and freeing 64 MiB."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], env=environment | variables, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the options")
@pytest.mark.slow
def test_freed_blocks_are_reused_unless_the_user_has_set_glibcs_variables() -> None:
    default = page_faults("default")
    assert page_faults("keep") < default / 4
    assert page_faults("keep", MALLOC_TRIM_THRESHOLD_="131072") > default / 2
