"""Run by each of several processes: they fill a feature cache together.

python fill_together.py STORE CACHE OUT under torchrun. Each process writes the number of
images that its backbone has encoded to OUT/RANK.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from torch import Tensor, distributed

from nsi_cli.data.store.reader import open_store
from nsi_cli.models import features
from nsi_cli.models.build import build_backbone
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch

CONFIG = TrainConfig(
    task="test", backbone="texture", image_size=48, texture_grid=6, accelerator="cpu"
)


def main(store: Path, cache: Path, out: Path) -> None:
    """Fill the cache, a few images at a time."""
    fabric, backbone = launch(CONFIG), build_backbone(CONFIG)
    encoded, extract = 0, backbone.extract

    def counted(images: Tensor) -> Tensor:
        nonlocal encoded
        encoded += len(images)
        time.sleep(0.05)  # neither process is done before the other begins
        return extract(images)

    backbone.extract = counted  # type: ignore[method-assign]
    features._AT_ONCE["cpu"] = 4
    distributed.barrier()
    part = (fabric.global_rank, fabric.world_size)
    features.prepare_cache(backbone, open_store(store), ["train", "val"], str(cache), part=part)
    (out / str(fabric.global_rank)).write_text(str(encoded))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
