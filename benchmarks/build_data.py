"""Compare the speed of ``nsi build-data`` with a reimplementation of the published procedure.

Run it with ``python benchmarks/build_data.py [SCENES]``; it requires scikit-image
(``pip install -e '.[benchmarks]'``). Ours is the whole command with two workers: it checks, hashes
and writes labels, images and masks at 224 × 224 as bytes. The published procedure opens each PNG,
resizes it to 128 × 128 as float64, appends it to a list, stacks the list and writes it, without
labels and masks; the time of its imports is not counted. Both build the same scenes,
alternately, and start when all pending disk writes are done. Prints the median speeds; the median,
lowest and highest ratio over the rounds (a machine that slows down slows both sides of a round);
and the processor time per scene. Exits 1 if the ratio is below `LEAST`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.raw_scenes import make_raw

LEAST = 4.0
ROUNDS = 3
SCENES = 6000
WORKERS = 2


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SCENES
    commands: dict[str, Callable[[Path, Path], list[str]]] = {"nsi": ours, "published": other}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    busy: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        raw, out = make_raw(Path(folder), count), Path(folder) / "out"
        for _ in range(ROUNDS):
            for name, words in commands.items():
                for told, value in zip((seconds, busy), timed(words(raw, out)), strict=True):
                    told[name].append(value)
                print(f"{name}: {count / seconds[name][-1]:.0f} scenes/s", file=sys.stderr)
                shutil.rmtree(out) if out.is_dir() else out.unlink()
    rate = {name: count / statistics.median(told) for name, told in seconds.items()}
    cost = {name: 1000 * statistics.median(told) / count for name, told in busy.items()}
    ratios = sorted(
        other / ours for ours, other in zip(seconds["nsi"], seconds["published"], strict=True)
    )
    ratio = statistics.median(ratios)
    print(
        f"{count} scenes: nsi build-data {rate['nsi']:.0f} scenes/s with {WORKERS} workers, "
        f"published procedure {rate['published']:.0f}, ratio {ratio:.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}; ≥ {LEAST}); "
        f"processor time {cost['nsi']:.1f} and {cost['published']:.1f} ms per scene"
    )
    return int(ratio < LEAST)


def ours(raw: Path, out: Path) -> list[str]:
    words = ["-m", "nsi_cli", "--quiet", "build-data", "clevrtex", "--workers", str(WORKERS)]
    return [*words, "--raw", str(raw), "--out", str(out)]


def other(raw: Path, out: Path) -> list[str]:
    return [__file__, "published", str(raw), str(out)]


def timed(words: list[str]) -> tuple[float, float]:
    """Return the wall time and the processor time of a Python command and its child processes.

    `published` prints the seconds that its imports took; they are subtracted from both.
    """
    os.sync()
    began, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    seconds, after = time.perf_counter() - began, os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    start = float(done.stdout) if words[0] == __file__ else 0.0
    return seconds - start, used - start


def published(raw: Path, out: Path) -> None:
    began = time.perf_counter()
    import h5py
    import numpy as np
    from PIL import Image
    from skimage.transform import resize

    print(time.perf_counter() - began)
    images = []
    for path in sorted(raw.glob("clevrtex_full/*/*[0-9].png")):
        with Image.open(path) as picture:
            images.append(resize(np.asarray(picture.convert("RGB")), (128, 128)))
    stacked = np.stack(images)
    assert stacked.dtype == np.float64
    with h5py.File(out, "w") as file:
        file.create_dataset("images", data=stacked)


if __name__ == "__main__":
    if sys.argv[1:2] == ["published"]:
        published(*map(Path, sys.argv[2:]))
    else:
        sys.exit(main())
