"""The speed of a step, of its parts and of the feature cache, and the memory of the decoder."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu.sizes import BF16, Rows, options
from published.model import Decoder, Sizes
from tools.measured import peak_bytes, seconds_of
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from train_step import measure, with_random_backbone

from nsi_cli import api
from nsi_cli.models.build import build_backbone
from nsi_cli.models.decoder import SlotDecoder
from nsi_cli.models.features import prepare_cache
from nsi_cli.training.config import TrainConfig

TOGETHER = 8
"""Scenes whose activations a checkpoint computes again together."""
REPEATS = 5


def step_times(cache: str) -> Callable[[argparse.Namespace], Rows]:
    """A case: steps with all tokens, and with cached features a quarter of them; their parts."""

    def run(asked: argparse.Namespace) -> Rows:
        with tempfile.TemporaryDirectory() as folder:
            config, vit = with_random_backbone(options(asked), Path(folder))
            quarter = vit.patch_embed.num_patches // 4
            given = argparse.Namespace(
                device=asked.device, precision=[BF16], cache=[cache], compile=False, only="ours",
                no_parts=False, repeats=1 if asked.tiny else REPEATS, decode_tokens=[0, quarter],
            )  # fmt: skip
            return step_rows(measure(given, config, vit)["steps"])

    return run


def step_rows(steps: dict[str, Any]) -> Rows:
    """A row for each way to take a step, each followed by its parts."""
    rows: Rows = {}
    for way, told in steps.items():
        rows[way] = {
            "ms": 1e3 * told["seconds"],
            "images/s": told["images_per_second"],
            "peak GB": told["peak_bytes"] / 1e9,
        }
        peak = told["parts"].pop("peak")
        rows[f"{way}: measured peak"] = {"GFLOP/s": peak["operations_per_second"] / 1e9}
        for name, part in told["parts"].items():
            rows[f"{way}: {name}"] = {
                "ms": 1e3 * part["seconds"],
                "GFLOP": part["operations"] / 1e9,
                "share of peak": part["share_of_peak"],
            }
    return rows


def decoder(kind: str) -> Callable[[argparse.Namespace], Rows]:
    """A case: the peak memory of a decoder's error with its gradients, in bfloat16."""

    def run(asked: argparse.Namespace) -> Rows:
        config, grid = options(asked), 4 if asked.tiny else 28
        tokens, channels, count = grid**2, 16 if asked.tiny else 768, config.batch_size
        torch.manual_seed(0)
        features = torch.randn(count, tokens, channels, device=asked.device)
        slots = torch.randn(count, config.num_slots, config.slot_dim, device=asked.device)
        slots.requires_grad_()
        error = decoder_error(kind, config, tokens, channels, asked.device)

        def there_and_back() -> None:
            with torch.autocast(asked.device, torch.bfloat16):
                loss = error(slots, features)
            loss.backward()

        there_and_back()  # warms up, and allocates the gradients
        extra, _ = peak_bytes(there_and_back, asked.device)
        seconds = [seconds_of(there_and_back, asked.device) for _ in range(REPEATS)]
        return {"": {"peak GB": extra / 1e9, "ms": 1e3 * statistics.median(seconds)}}

    return run


def decoder_error(
    kind: str, config: TrainConfig, tokens: int, channels: int, device: str
) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean error of a decoder with random weights, as a function of slots and features."""
    if kind == "ours":
        return SlotDecoder(config, tokens, channels).to(device).error
    sizes = Sizes(
        slots=config.num_slots, width=config.slot_dim, decoder_hidden=config.decoder_hidden_size
    )
    plain = Decoder(tokens, channels, sizes).to(device)

    def summed(slots: Tensor, features: Tensor) -> Tensor:
        return (plain(slots)[0] - features).square().sum()

    def whole(slots: Tensor, features: Tensor) -> Tensor:
        return summed(slots, features) / (len(features) * tokens)

    def again(slots: Tensor, features: Tensor) -> Tensor:
        pairs = zip(slots.split(TOGETHER), features.split(TOGETHER), strict=True)
        parts = [checkpoint(summed, *pair, use_reentrant=False) for pair in pairs]
        return torch.stack(parts).sum() / (len(features) * tokens)

    return again if kind == "checkpoint" else whole


def cache_rate(asked: argparse.Namespace) -> Rows:
    """Images per second of filling the cache, which reads them from a store; after a warm-up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, _ = with_random_backbone(options(asked), folder)
        store = api.build_store(
            "clevrtex", folder / "data", synthetic=40 if asked.tiny else 640,
            image_size=config.image_size, options={"split_by": "benchmark"},
        )  # fmt: skip
        backbone = build_backbone(config, BF16).to(asked.device)
        prepare_cache(backbone, store, ["val"], str(folder / "cache"))
        began = time.perf_counter()
        prepare_cache(backbone, store, ["train"], str(folder / "cache"))
        seconds = time.perf_counter() - began
    return {"": {"images/s": store.count("train") / seconds, "images": store.count("train")}}
