"""Compare the speed of our training step with a plain reimplementation of the published one.

    python benchmarks/train_step.py                                   # on a CPU
    python benchmarks/train_step.py --device cuda --batch-size 128 --compile

Both steps have the published sizes and run on the same scenes, alternately, so other work on the
machine affects both. The published step always runs its backbone and computes in float32. For each
way to run our step, the benchmark prints images per second; the speedup (the median, lowest and
highest over the rounds); the peak memory of a step in addition to the memory used before it; and
the time of each part, run alone, forward and backward. For each part it also prints the speed of
its matrix products, as a share of the fastest product of that dtype in the same run. A sample of
tokens (``--decode-tokens``) is measured with cached features only. Weights are random and images
are noise; the time of a step does not depend on them.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from published.step import PublishedStep
from safetensors.torch import save_file
from tools.measured import MatrixPeak, peak_bytes, seconds_of
from tools.our_step import OurStep, our_step
from tools.step_parts import parts_of, time_parts

from nsi_cli.data.loading.batch import Batch
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.training.config import TrainConfig

VALUES = (3, 4, 60)  # sizes, shapes and materials of CLEVRTex
SCHEMA = Schema(
    (
        *(
            Categorical(name, tuple(f"{name}{i:02}" for i in range(count)))
            for name, count in zip(("size", "shape", "material"), VALUES, strict=True)
        ),
        Continuous("position", 3, (-3.0, -3.0, 0.0), (3.0, 3.0, 1.0)),
    ),
    max_objects=10,
)


@dataclass(frozen=True)
class Way:
    """A way to run our step."""

    precision: str
    cached: bool
    decoded: int  # tokens of each scene; 0 for all

    def __str__(self) -> str:
        name = f"{self.precision}, {'cached features' if self.cached else 'no cache'}"
        return name + (f", {self.decoded} tokens decoded" if self.decoded else "")


def main() -> None:
    asked = arguments()
    torch.manual_seed(0)
    config = TrainConfig(task="clevrtex", accelerator=asked.device)
    told = []
    with tempfile.TemporaryDirectory() as folder:
        config, vit = with_random_backbone(config, Path(folder))
        for size in asked.batch_size:
            told.append(measure(asked, replace(config, batch_size=size), vit))
            gc.collect()
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": machine(asked.device), "runs": told}, indent=2)
        )


def with_random_backbone(config: TrainConfig, folder: Path) -> tuple[TrainConfig, Any]:
    """Return the vision transformer with random weights, and options that load them from a file."""
    import timm

    vit = timm.create_model(config.backbone, pretrained=False, num_classes=0)
    weights = folder / "backbone.safetensors"
    save_file(vit.state_dict(), weights)
    return replace(config, backbone_weights=str(weights)), vit


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--batch-size", type=int, nargs="+", default=[4, 8], help="scenes per step")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--precision", nargs="+", default=["32", "bf16-mixed"], help="precision of our step")
    add("--cache", nargs="+", choices=("on", "off"), default=["on", "off"], help="cached features")
    add(
        "--decode-tokens",
        type=int,
        nargs="+",
        default=[0, 196],
        help="tokens that our step decodes; 0 for all 784",
    )
    add("--compile", action="store_true", help="compile our step")
    add("--only", choices=("ours", "published"), help="run only this step, without the ratio")
    add("--no-parts", action="store_true", help="do not measure the parts of the step")
    add("--repeats", type=int, default=5, help="measured rounds, after one warm-up round")
    add("--json", type=Path, metavar="FILE", help="also write all measurements to FILE")
    return parser.parse_args()


def machine(device: str) -> str:
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def measure(asked: argparse.Namespace, config: TrainConfig, vit: Any) -> dict[str, Any]:
    """Measure all ways to run a step with one batch size, alternately."""
    print(f"\nbatch {config.batch_size}, {machine(asked.device)}")
    device, tokens = asked.device, vit.patch_embed.num_patches
    images, batch = scenes(config, tokens, vit.num_features, device)
    ways = [
        Way(precision, cache == "on", decoded)
        for cache in asked.cache
        for decoded in asked.decode_tokens
        for precision in asked.precision
        if cache == "on" or not decoded
    ]
    steps: dict[str, Any] = {}
    if asked.only != "ours":
        published = PublishedStep(vit, tokens, VALUES, device)
        steps["published"] = lambda: published(images, batch.primitives, batch.present)
    ours: dict[Way, tuple[OurStep, Batch]] = {}
    for way in ways if asked.only != "published" else ():
        chosen = replace(config, precision=way.precision, decode_tokens=way.decoded)
        step = our_step(chosen, SCHEMA, compiled=asked.compile)
        given = replace(batch, images=None) if way.cached else replace(batch, features=None)
        ours[way] = step, given
        steps[str(way)] = lambda step=step, given=given: step.run(given)
    peaks = {step.dtype: MatrixPeak(step.dtype, device) for step, _ in ours.values()}
    memory = {name: peak_bytes(run, device) for name, run in steps.items()}
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(asked.repeats):
        for name, run in steps.items():
            rounds[name].append(seconds_of(run, device))
        for peak in peaks.values():
            peak.look()
    told = {name: summary(config, rounds, name, memory[name]) for name in steps}
    for way, (step, given) in ours.items() if not asked.no_parts else ():
        best = peaks[step.dtype]
        chosen = replace(config, decode_tokens=way.decoded)
        parts = parts_of(step, chosen, given, compiled=asked.compile)
        times = time_parts(parts, device, asked.repeats)
        best.look()
        told[str(way)]["parts"] = shares(str(way), parts, times, best)
    return {"batch_size": config.batch_size, "repeats": asked.repeats, "steps": told}


def scenes(
    config: TrainConfig, tokens: int, channels: int, device: str
) -> tuple[torch.Tensor, Batch]:
    """Return images (B, 3, S, S) uint8, and a batch with images and features, on the host."""
    size, side = config.batch_size, config.image_size
    images = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8)
    most = config.max_program_len
    ids = [torch.randint(count, (size, most)).float() for count in VALUES]
    rows = torch.cat([torch.stack(ids, -1), torch.rand(size, most, 3)], -1)
    present = torch.arange(most) < torch.randint(3, most + 1, (size, 1))
    features = torch.randn(size, tokens, channels).half()
    batch = Batch(torch.arange(size), rows, present, images=images, features=features)
    return images, batch.map(lambda tensor: tensor.pin_memory()) if device == "cuda" else batch


def summary(
    config: TrainConfig, rounds: dict[str, list[float]], name: str, memory: tuple[int, int]
) -> dict[str, Any]:
    """Print one step's line, and return its numbers."""
    median = statistics.median(rounds[name])
    told: dict[str, Any] = {
        "seconds": median,
        "images_per_second": config.batch_size / median,
        "step_bytes": memory[0],
        "peak_bytes": memory[1],
        "rounds": rounds[name],
    }
    line = (
        f"{name:47} {median:8.3f} s {told['images_per_second']:8.2f} images/s"
        f"   memory {memory[0] / 1e9:5.2f} GB above {(memory[1] - memory[0]) / 1e9:.2f}"
    )
    if name != "published" and "published" in rounds:
        ratios = sorted(a / b for a, b in zip(rounds["published"], rounds[name], strict=True))
        told["ratio"] = statistics.median(ratios)
        told["ratio_spread"] = [ratios[0], ratios[-1]]
        line += f"   × {told['ratio']:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(line)
    return told


def shares(name: str, parts: Any, times: dict[str, float], peak: MatrixPeak) -> dict[str, Any]:
    """Print the time of each part of a step, and return the numbers."""
    whole = sum(times.values())
    print(f"  {name}: parts take {whole:.3f} s; peak {peak.best / 1e9:.0f} GFLOP/s, {peak.dtype}")
    told = {}
    for part in parts:
        seconds = times[part.name]
        reached = part.operations / seconds / peak.best
        told[part.name] = {
            "seconds": seconds, "operations": part.operations, "share_of_peak": reached,
        }  # fmt: skip
        print(
            f"    {part.name:16} {seconds:8.4f} s {seconds / whole:5.0%} of the time"
            f" {part.operations / 1e9:10.1f} GFLOP, {reached:4.0%} of the peak"
        )
    told["peak"] = {"operations_per_second": peak.best, "dtype": str(peak.dtype)}
    return told


if __name__ == "__main__":
    main()
