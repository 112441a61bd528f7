"""The parts of `gpu_day.py`, which runs each in a process of its own, and can end it at any time.

    python benchmarks/gpu_parts.py PART [--device cpu] [--tiny] [--batch-size N]

Prints a JSON line for the machine, one for each row that was measured, and one with the reason for
each case that failed. Everything else goes to stderr.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from measured import SIDES, peak_bytes, seconds_of
from our_step import our_step
from published_model import Decoder, Sizes
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from train_step import SCHEMA, machine, measure, scenes, with_random_backbone

from nsi_cli import api
from nsi_cli.models.build import build_backbone
from nsi_cli.models.decoder import SlotDecoder
from nsi_cli.models.features import prepare_cache
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import precision_plugin

Rows = dict[str, dict[str, Any]]
"""Measured values by their names, for each row of a table."""
Gradient = dict[str, Tensor]
"""The loss, and the gradient of each parameter, on the CPU."""

BF16 = "bf16-mixed"
TINY: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224", "num_slots": 4, "slot_dim": 16, "num_iterations": 2,
    "mlp_hidden_size": 16, "decoder_hidden_size": 32, "d_model": 16, "num_blocks": 1,
    "num_heads": 2, "embed_dim": 8, "max_program_len": 4,
}  # fmt: skip
CHECKED = 8
"""Scenes of the batch whose gradient is compared with that of the CPU."""
EXACT, ROUNDED = 1e-3, 0.1
"""The largest relative errors of a gradient, in float32 and with products in bfloat16."""
TOGETHER = 8
"""Scenes whose activations a checkpoint computes again together."""
REPEATS = 5


def main() -> int:
    asked = arguments()
    if asked.tiny:
        SIDES[asked.device] = ((64, 64, 64),)
    if asked.rank is not None:
        save_gradient(asked)
        return 0
    print_line({"machine": machine(asked.device)})
    for case, measured in PARTS[asked.part].items():
        try:
            with redirect_stdout(sys.stderr):
                rows = measured(asked)
        except Exception as error:
            traceback.print_exc()
            print_line({"case": case, "failed": reason(error)})
        else:
            print_line({"case": case, "rows": rows})
        gc.collect()
        if asked.device == "cuda":
            torch.cuda.empty_cache()
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rank", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def print_line(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def reason(error: Exception) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def options(asked: argparse.Namespace, **changes: Any) -> TrainConfig:
    """The published options, or tiny sizes."""
    given = {"task": "clevrtex", "accelerator": asked.device, "batch_size": asked.batch_size}
    return TrainConfig(**{**given, **(TINY if asked.tiny else {}), **changes})


# Correctness: a step on cached features, with the same weights and draws on both devices.


def checked_options(asked: argparse.Namespace, **changes: Any) -> TrainConfig:
    """Options whose gradient depends smoothly on rounding, and is not clipped."""
    grid = 4 if asked.tiny else 28
    smooth = {"backbone": "texture", "texture_grid": grid, "tau": 5.0, "dropout": 0.0}
    return options(asked, **smooth, grad_clip=1e9, batch_size=CHECKED, **changes)


def gradient(config: TrainConfig, *, compiled: bool = False, fabric: Any = None) -> Gradient:
    """The loss and gradient of the first step; the batch is the same for all options."""
    step = our_step(config, SCHEMA, compiled=compiled, fabric=fabric)
    torch.manual_seed(1)
    _, batch = scenes(config, step.backbone.num_tokens, step.backbone.channels, "cpu")
    loss = step.run(replace(batch, images=None))
    found = {"loss": torch.tensor(loss)}
    for name, parameter in step.model.named_parameters():
        found[name] = parameter.grad.detach().float().cpu().clone()
    return found


def compared(asked: argparse.Namespace, found: Gradient, limit: float, **changes: Any) -> Rows:
    """The relative errors of a loss and a gradient, as a row."""
    wanted = gradient(checked_options(asked, **{**changes, "accelerator": "cpu"}))
    loss, right = found.pop("loss"), wanted.pop("loss")
    flat = torch.cat([found[name].flatten() for name in wanted])
    target = torch.cat([value.flatten() for value in wanted.values()])
    error = ((flat - target).norm() / target.norm()).item()
    loss_error = ((loss - right).abs() / right.abs()).item()
    row = {"loss error": loss_error, "gradient error": error, "limit": limit}
    return {"": {**row, "within": max(error, loss_error) <= limit}}


def check(
    limit: float, *, compiled: bool = False, everywhere: dict[str, Any] | None = None, **here: Any
) -> Callable[[argparse.Namespace], Rows]:
    """A case: options of the device, and options of both the device and the CPU."""

    def run(asked: argparse.Namespace) -> Rows:
        both = everywhere or {}
        found = gradient(checked_options(asked, **both, **here), compiled=compiled)
        return compared(asked, found, limit, **both)

    return run


def two_processes(asked: argparse.Namespace) -> Rows:
    """Two processes share the device, and communicate as two machines do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "gradient.safetensors"
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, *sys.argv[1:], "--rank", str(out)],
                env={
                    **os.environ, "RANK": str(rank), "GROUP_RANK": str(rank), "WORLD_SIZE": "2",
                    "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "gpu_day",
                },
                stderr=subprocess.PIPE, text=True,
            )
            for rank in range(2)
        ]  # fmt: skip
        texts = [rank.communicate()[1] for rank in ranks]
        for rank, text in zip(ranks, texts, strict=True):
            print(text, file=sys.stderr)
            if rank.returncode:
                raise RuntimeError((text.strip().splitlines() or ["no message"])[-1])
        return compared(asked, load_file(out), EXACT)


def save_gradient(asked: argparse.Namespace) -> None:
    """Be one of two processes; the first writes the gradient. NCCL needs a device for each."""
    config = checked_options(asked)
    fabric = Fabric(
        accelerator=config.accelerator, devices=1, num_nodes=2,
        strategy=DDPStrategy(process_group_backend="gloo"),
        plugins=precision_plugin(config.precision, config.accelerator),
    )  # fmt: skip
    fabric.launch()
    found = gradient(config, fabric=fabric)
    if fabric.global_rank == 0:
        save_file(found, asked.rank)
    fabric.barrier()
    torch.distributed.destroy_process_group()


# Speed and memory.


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


PARTS: dict[str, dict[str, Callable[[argparse.Namespace], Rows]]] = {
    "correctness": {
        "float32": check(EXACT),
        "bf16-mixed": check(ROUNDED, precision=BF16),
        "accumulation": check(EXACT, micro_batch_size=3),
        "a sample of tokens": check(EXACT, everywhere={"decode_tokens": 8}),
    },
    "compilation": {"compiled": check(EXACT, compiled=True)},
    "processes": {"2 processes": two_processes},
    "step": {"cached features": step_times("on"), "no cache": step_times("off")},
    "memory": {
        "ours": decoder("ours"),
        "plain decoder": decoder("plain"),
        "torch.utils.checkpoint": decoder("checkpoint"),
    },
    "cache": {"filling": cache_rate},
}

if __name__ == "__main__":
    sys.exit(main())
