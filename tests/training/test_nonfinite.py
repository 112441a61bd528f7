"""The batch of a step that was not finite can be looked at afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nsi_cli.support.errors import DataError
from nsi_cli.training.nonfinite import save_nonfinite


def save(run: Path, step: int = 7, **more) -> Path | None:
    tensors = {
        "features": torch.tensor([[1.0, torch.nan]]).mT,
        "present": torch.tensor([[True, False]]),
        "images": None,
    }
    return save_nonfinite(
        run, tensors, step=step, epoch=1, split="train", scenes=["clevrtex_0003"],
        measures={"loss": float("nan"), "contrastive": float("inf"), "R@1": 0.5},
        what="loss", **more,
    )  # fmt: skip


def test_the_batch_and_what_happened_are_written(tmp_path: Path) -> None:
    result = save(tmp_path)
    assert result == tmp_path / "nonfinite" / "step-7.json"

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    said = json.loads(result.read_text(), parse_constant=refuse)
    assert said == {
        "step": 7,
        "epoch": 1,
        "split": "train",
        "not_finite": "loss",
        "measures": {"loss": "nan", "contrastive": "inf", "R@1": 0.5},
        "tensors_not_finite": ["features"],
        "scenes": ["clevrtex_0003"],
    }
    tensors = load_file(result.with_suffix(".safetensors"))
    assert sorted(tensors) == ["features", "present"]
    assert tensors["features"].shape == (2, 1)
    assert tensors["features"].isnan().tolist() == [[False], [True]]
    assert tensors["present"].tolist() == [[True, False]]


def test_where_steps_are_skipped_only_the_first_few_are_kept(tmp_path: Path) -> None:
    result = [save(tmp_path, step, most=3) for step in range(10, 15)]
    assert result[3:] == [None, None]
    names = sorted(path.stem for path in (tmp_path / "nonfinite").glob("*.safetensors"))
    assert names == ["step-10", "step-11", "step-12"]
    assert save(tmp_path, 99) is not None  # what stops a training is always kept


def test_each_process_of_a_training_keeps_its_part(tmp_path: Path) -> None:
    save(tmp_path)
    result = save(tmp_path, rank=1)
    assert result is not None
    assert result.name == "step-7-rank-1.json"
    assert len(list((tmp_path / "nonfinite").iterdir())) == 4


def test_a_disk_that_refuses_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="disk is full"):
        save(tmp_path)
    assert not (tmp_path / "nonfinite").exists()
