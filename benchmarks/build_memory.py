"""Measure the peak memory of ``nsi build-data`` with two workers at 2 000 and 20 000 scenes.

Run it with ``python benchmarks/build_memory.py [FOLDER]``; FOLDER needs about 5 GB. Memory is the
total proportional set size of the command and its child processes, sampled twenty times a second
(Linux). Prints both peaks and their ratio; exits 1 if the peaks differ by more than `MOST` or if
one is above `LIMIT`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.raw_scenes import make_raw

COUNTS = (2_000, 20_000)
LIMIT = 1e9
MOST = 0.1


def main() -> int:
    peaks = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            raw = make_raw(Path(folder), count)
            began = time.perf_counter()
            peaks.append(peak_of_build(raw, Path(folder) / "out"))
            seconds = time.perf_counter() - began
            print(f"{count} scenes: {peaks[-1] / 1e6:.1f} MB, {seconds:.0f} s", flush=True)
    ratio = peaks[1] / peaks[0]
    print(f"ratio {ratio:.3f} (within {MOST:.0%}), peak {max(peaks) / 1e6:.1f} MB (≤ 1000)")
    return int(abs(ratio - 1) > MOST or max(peaks) > LIMIT)


def peak_of_build(raw: Path, out: Path) -> int:
    words = [sys.executable, "-m", "nsi_cli", "--quiet", "build-data", "clevrtex"]
    process = subprocess.Popen(
        [*words, "--raw", str(raw), "--out", str(out), "--workers", "2"], stdout=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(set_size, family(process.pid))))
        time.sleep(0.05)
    assert process.returncode == 0
    return peak


def family(process: int) -> list[int]:
    """Return the ids of a process and of its descendants."""
    found = [process]
    for one in found:
        try:
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:  # the process has ended
            continue
    return found


def set_size(process: int) -> int:
    """Return the proportional set size of a process in bytes."""
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in told.splitlines() if "Pss:" in line), 0)


if __name__ == "__main__":
    sys.exit(main())
