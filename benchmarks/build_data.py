"""Scenes a second of ``nsi build-data``, against the published procedure restated plainly.

Run it with ``python benchmarks/build_data.py [SCENES]``; it needs scikit-image
(``pip install -e '.[benchmarks]'``). Ours is the whole command with two workers: labels, images
and masks at 224 × 224 as bytes, checked and hashed, and on the disk. The other opens each PNG,
resizes it to 128 × 128 as float64, appends it to a list, stacks the list and writes it; labels,
masks and the start of Python are left out of it. Both take the same scenes in turn, and begin
when the system has nothing left to write. Prints the medians, the median of the rounds' ratios with
the lowest and highest (a machine that slows down slows both of a round), and the processor's time
for a scene; exits 1 where the ratio is below `LEAST`.
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

from raw_scenes import make_raw

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
        f"processor {cost['nsi']:.1f} and {cost['published']:.1f} ms a scene"
    )
    return int(ratio < LEAST)


def ours(raw: Path, out: Path) -> list[str]:
    words = ["-m", "nsi_cli", "--quiet", "build-data", "clevrtex", "--workers", str(WORKERS)]
    return [*words, "--raw", str(raw), "--out", str(out)]


def other(raw: Path, out: Path) -> list[str]:
    return [__file__, "published", str(raw), str(out)]


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds of a Python command, and those of the processor with all that it starts.

    A number that the command prints is the seconds in which it was not at its work.
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
