"""The processes of a run fill the feature cache together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.data.store.reader import open_store
from nsi_cli.models.build import build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.features import prepare_cache

SCRIPT = Path(__file__).with_name("fill_together.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def files(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.rglob("*.npy")}


@pytest.mark.slow
def test_two_processes_fill_the_same_cache_as_one_and_each_does_its_part(
    store: Path, tmp_path: Path
) -> None:
    opened, splits = open_store(store), ["train", "val"]
    backbone = build_backbone(ModelConfig(backbone="texture", image_size=48, texture_grid=6))
    prepare_cache(backbone, opened, splits, str(tmp_path / "alone"))
    arguments = [str(path) for path in (store, tmp_path / "together", tmp_path)]
    done = subprocess.run(
        [sys.executable, *TORCHRUN, str(SCRIPT), *arguments],
        check=False, timeout=240, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "together") == files(tmp_path / "alone")
    assert files(tmp_path / "alone").keys() == {"train.npy", "val.npy"}
    shares = [int((tmp_path / rank).read_text()) for rank in "01"]
    scenes = sum(opened.count(split) for split in splits)
    assert sum(shares) == scenes
    assert min(shares) >= scenes // 4
