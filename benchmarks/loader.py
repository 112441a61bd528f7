"""Compare reading random batches of 128 at 224 × 224 from a store with the published loader.

Run it with ``python benchmarks/loader.py [SCENES]``. The published loader is reimplemented here.
The split is in memory as float64 at 128 × 128. Each item is converted to a tensor with the
channels first, resized to 224 (bicubic), cropped at the centre and converted to float32; batches
are collated from items. Both loaders read shuffled batches with one worker, alternately; the
first batches, during which the worker starts, are not measured. Prints the medians and their
ratio; exits 1 if the ratio is below `LEAST`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from nsi_clevrtex.builder import ClevrtexBuilder
from PIL import Image
from tools.raw_scenes import make_raw
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.loading.loader import LoaderOptions, make_dataloader
from nsi_cli.data.store.reader import Store, open_store

BATCH = 128
LEAST = 8.0
"""The measured ratio is 10; the margin allows for other work on the machine."""
ROUNDS = 5
SCENES = 6000
FIRST = 3


class Published(Dataset[torch.Tensor]):
    """The items of a split, all in memory."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path) as file:
            self.images = file["images"][()]
        self.transform = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self.transform(torch.from_numpy(self.images[place]).permute(2, 0, 1)).float()


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SCENES
    with tempfile.TemporaryDirectory() as folder:
        raw, out = make_raw(Path(folder), count), Path(folder) / "store"
        builder = ClevrtexBuilder(raw, split_by="test")
        store = open_store(build_store(builder, "clevrtex", out, BuildOptions(workers=2)))
        published = Published(write_floats(store, Path(folder) / "floats.h5", 1500))
        rates: dict[str, list[float]] = {"nsi": [], "published": []}
        for number in range(ROUNDS):
            options = LoaderOptions(BATCH, workers=1, shuffle=True, epoch=number)
            rates["nsi"].append(rate(make_dataloader(store, "test", options)))
            loader = DataLoader(published, BATCH, shuffle=True, num_workers=1)
            rates["published"].append(rate(loader))
            print({name: f"{told[-1]:.0f}/s" for name, told in rates.items()}, file=sys.stderr)
    ours, other = map(statistics.median, rates.values())
    print(
        f"batches of {BATCH} at 224²: nsi {ours:.0f} scenes/s, published loader {other:.0f}, "
        f"ratio {ours / other:.1f} (≥ {LEAST})"
    )
    return int(ours < LEAST * other)


def write_floats(store: Store, path: Path, count: int) -> Path:
    """Write some images of a store in the format of the published build."""
    images = np.empty((count, 128, 128, 3))
    for place in range(count):
        small = Image.fromarray(store.images("test", [place])[0]).resize((128, 128))
        images[place] = np.asarray(small) / 255
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images)
    return path


def rate(batches: Iterable[Any]) -> float:
    """Return scenes per second, measured after the worker has started."""
    began, scenes = 0.0, 0
    for number, batch in enumerate(batches):
        if number >= FIRST:
            scenes += len(batch)
        if number == FIRST - 1:
            began = time.perf_counter()
    return scenes / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
