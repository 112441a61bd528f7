"""Compare filling the feature cache with a plain loop over the images.

    python benchmarks/fill_cache.py                                        # minutes, on a CPU
    python benchmarks/fill_cache.py --backbone vit_small_patch16_224 --scenes 64

Renders synthetic scenes, builds a store, and fills its feature cache several times, alternately: as
`nsi train` does, and with a loop that reads 16 images, puts them through the backbone with all
threads, and writes the features. Prints images per second, the number of cores that each keeps busy
(processor time divided by time), and the ratio of the speeds (computed within each round). A
vision transformer has random weights; the time does not depend on them. Exits 1 if the files
differ.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nsi_cli import api
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.models.backbones.base import TEXTURE, Backbone
from nsi_cli.models.build import build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.features import prepare_cache

SPLIT, AT_ONCE = "train", 16


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default=TEXTURE)
    parser.add_argument("--scenes", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return compare(asked, Path(folder))


def compare(asked: argparse.Namespace, folder: Path) -> int:
    side = 128 if asked.backbone == TEXTURE else 224
    api.build_store(
        "clevrtex", folder / "data", synthetic=asked.scenes, image_size=side, seed=0, options={}
    )
    store, backbone = open_store(folder / "data"), backbone_of(asked.backbone, side, folder)
    rates: dict[str, list[float]] = {"plain loop": [], "nsi": []}
    busy: dict[str, list[float]] = {"plain loop": [], "nsi": []}
    contents = {}
    for number in range(asked.rounds):
        plain, ours = folder / f"plain{number}.npy", folder / f"cache{number}"
        ways: dict[str, Callable[[], object]] = {
            "plain loop": lambda path=plain: plain_loop(store, backbone, path),
            "nsi": lambda path=ours: prepare_cache(backbone, store, [SPLIT], str(path)),
        }
        for name, run in ways.items():
            began, used = time.perf_counter(), time.process_time()
            run()
            seconds = time.perf_counter() - began
            rates[name].append(store.count(SPLIT) / seconds)
            busy[name].append((time.process_time() - used) / seconds)
        contents = {
            "plain loop": np.load(plain), "nsi": np.load(next(ours.rglob(f"{SPLIT}.npy")))
        }  # fmt: skip
    for name, values in rates.items():
        cores = statistics.median(busy[name])
        print(f"{name:10} {statistics.median(values):8.2f} images/s, {cores:.2f} cores busy")
    ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
    equal = np.array_equal(*contents.values())
    print(f"ratio {ratio:.2f}, {'equal' if equal else 'OTHER'} features")
    return int(not equal)


def backbone_of(name: str, side: int, folder: Path) -> Backbone:
    if name == TEXTURE:
        return build_backbone(ModelConfig(backbone=name, image_size=side, texture_grid=16))
    import timm
    from safetensors.torch import save_file

    weights = folder / "backbone.safetensors"
    save_file(timm.create_model(name, pretrained=False, num_classes=0).state_dict(), weights)
    return build_backbone(
        ModelConfig(backbone=name, backbone_weights=str(weights), image_size=side)
    )


def plain_loop(store: Store, backbone: Backbone, path: Path) -> None:
    count = store.count(SPLIT)
    shape = (count, backbone.num_tokens, backbone.channels)
    features = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    for start in range(0, count, AT_ONCE):
        images = store.images(SPLIT, np.arange(start, min(start + AT_ONCE, count)))
        encoded = backbone(torch.from_numpy(images).permute(0, 3, 1, 2))
        features[start : start + AT_ONCE] = encoded.half().numpy()
    features.flush()


if __name__ == "__main__":
    raise SystemExit(main())
