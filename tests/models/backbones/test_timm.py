"""A timm vision transformer as a backbone: tokens, local weights, and what can go wrong."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.support.errors import NsiError

NAME = "vit_tiny_patch16_224"
DISTILLED = "deit_tiny_distilled_patch16_224"  # two prefix tokens


def fresh(name: str) -> Any:
    import timm  # takes seconds, which collecting tests should not

    torch.manual_seed(0)
    return timm.create_model(name, depth=2)


@pytest.fixture(autouse=True)
def _shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks rather than twelve: seconds saved, nothing else changed."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: create(*a, **({"depth": 2} | k)))


def saved(name: str, folder: Path) -> Path:
    """Random weights of the whole model, classifier included."""
    file = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in fresh(name).state_dict().items()}, file)
    return file


def build(name: str, weights: Path | str = "", image_size: int = 224) -> Backbone:
    return build_backbone(
        ModelConfig(backbone=name, backbone_weights=str(weights), image_size=image_size)
    )


@pytest.mark.parametrize(("name", "prefix"), [(NAME, 1), (DISTILLED, 2)])
def test_tokens_are_the_models_own_without_prefix_tokens(
    name: str, prefix: int, tmp_path: Path
) -> None:
    seer = build(name, saved(name, tmp_path))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    model = fresh(name).eval()
    mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        want = model.forward_features((images.float() / 255 - mean) / std)
    assert want.shape[1] == 196 + prefix
    torch.testing.assert_close(seer(images), want[:, prefix:])
    assert (seer.grid, seer.channels, seer.appearance) == ((14, 14), 192, slice(0, 192))


def test_without_normalisation_pixels_are_only_divided_by_255(tmp_path: Path) -> None:
    config = ModelConfig(backbone=NAME, backbone_weights=str(saved(NAME, tmp_path)))
    plain = build_backbone(replace(config, normalize="none"))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        want = fresh(NAME).eval().forward_features(images.float() / 255)
    torch.testing.assert_close(plain(images), want[:, 1:])
    assert plain.fingerprint() != build_backbone(config).fingerprint()


def test_features_are_rounded_as_a_cache_keeps_them(tmp_path: Path) -> None:
    config = ModelConfig(backbone=NAME, backbone_weights=str(saved(NAME, tmp_path)))
    half, whole = (build_backbone(replace(config, feature_precision=bits)) for bits in ("16", "32"))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    assert torch.equal(half.features(images), whole(images).half().float())
    assert torch.equal(whole.features(images), whole(images))
    assert half.fingerprint() != whole.fingerprint()


def test_backbone_is_frozen_and_stays_in_evaluation(tmp_path: Path) -> None:
    seer = build(NAME, saved(NAME, tmp_path))
    seer.train()
    assert not any(module.training for module in seer.modules())
    assert not any(parameter.requires_grad for parameter in seer.parameters())


@pytest.mark.slow
def test_other_image_sizes_work(tmp_path: Path) -> None:
    seer = build(NAME, saved(NAME, tmp_path), image_size=128)
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    assert seer(images).shape == (1, 64, 192)
    with pytest.raises(NsiError, match="100 is not a multiple of the patch size 16") as result:
        build(NAME, saved(NAME, tmp_path), image_size=100)
    assert "--image-size 96" in result.value.hint


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    file = saved(NAME, tmp_path)
    first, again = build(NAME, file).fingerprint(), build(NAME, file).fingerprint()
    weights = fresh(NAME).state_dict()
    weights["norm.bias"] += 1
    torch.save(weights, tmp_path / "other.pth")
    assert first == again != build(NAME, tmp_path / "other.pth").fingerprint()


def test_half_precision_is_another_backbone_of_nearly_the_same_features(tmp_path: Path) -> None:
    config = ModelConfig(backbone=NAME, backbone_weights=str(saved(NAME, tmp_path)))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    whole, half = build_backbone(config), build_backbone(config, "bf16-mixed")
    features = half(images)
    assert features.dtype == torch.float32
    assert 0 < (features - whole(images)).norm() < 0.02 * whole(images).norm()
    assert half.fingerprint() != whole.fingerprint()
    with torch.autocast("cpu", torch.bfloat16):  # what is around it changes nothing
        torch.testing.assert_close(whole(images), build_backbone(config)(images))


@pytest.mark.timeout(60)
def test_weights_that_are_missing_or_of_another_model_are_told_in_a_line(tmp_path: Path) -> None:
    garbage, head, other = (tmp_path / f"{name}.pth" for name in ("garbage", "head", "other"))
    garbage.write_text("not weights")
    torch.save({"head.weight": torch.zeros(2, 2)}, head)
    torch.save({"norm.weight": torch.zeros(192)}, other)
    faults = {
        tmp_path / "nowhere.pth": "no weights file",
        garbage: "is not a weights file",
        head: "holds no weights",
        other: "cannot be loaded",
        tmp_path / "pipe": "is not a weights file: it is a named pipe",
        Path("/dev/zero"): "is not a weights file: it is a device",
        tmp_path: "is not a weights file: it is a folder",
    }
    os.mkfifo(tmp_path / "pipe")
    for file, said in faults.items():
        with pytest.raises(NsiError, match=said) as result:
            build(NAME, file)
        assert "\n" not in result.value.message
        assert "--backbone-weights" in result.value.hint


def test_unknown_names_bring_the_nearest_known_one() -> None:
    with pytest.raises(NsiError, match="no backbone is called") as result:
        build("vit_bse_patch8_224.dino")
    assert result.value.hint == "did you mean 'vit_base_patch8_224.dino'?"


def test_a_network_without_patch_tokens_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "some.pth")
    with pytest.raises(NsiError, match="not a vision transformer"):
        build("resnet18", tmp_path / "some.pth")


def test_a_hub_out_of_reach_is_one_quick_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Silent:
        def head(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("nobody answers")

    monkeypatch.setattr("huggingface_hub.get_session", Silent)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    level = logging.getLogger("timm").level
    with pytest.raises(NsiError, match="hub does not answer") as result:
        build("vit_base_patch8_224.dino")
    assert "\n" not in result.value.message
    assert "timm/vit_base_patch8_224.dino" in result.value.hint
    assert "--backbone-weights FILE" in result.value.hint
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("timm").level == level


def test_weights_in_the_hubs_cache_need_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = saved(NAME, tmp_path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(file))
    assert build(NAME).fingerprint() == build(NAME, file).fingerprint()
