"""Time ``nsi --help`` and the help of a bare Typer app with the same number of commands.

Run it with ``python benchmarks/help_time.py``. The same interpreter runs both packages with ``-m``,
alternately, so other work on the machine affects both. Prints both medians and their ratio;
exits 1 if the ratio is above `MOST`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nsi_cli.cli.app import COMMANDS

MOST = 1.12
ROUNDS = 20

BARE = """
import typer

app = typer.Typer()


def command(name):
    @app.command(name)
    def function(count: int = 1) -> None:
        "Do something."


for number in range({count}):
    command(f"command{{number}}")

app()
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "bare_app"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(BARE.format(count=len(COMMANDS)))
        path = os.pathsep.join([folder, *filter(None, sys.path)])
        times: dict[str, list[float]] = {"nsi_cli": [], "bare_app": []}
        for number in range(ROUNDS + 1):
            for name, told in times.items():
                seconds = time_help(name, path)
                if number:  # the first round fills the caches
                    told.append(seconds)
    nsi, bare = (statistics.median(told) for told in times.values())
    print(f"nsi --help {nsi:.3f} s, bare Typer {bare:.3f} s, ratio {nsi / bare:.2f} (≤ {MOST})")
    return int(nsi > MOST * bare)


def time_help(package: str, path: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", package, "--help"],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
