"""Measure what a sample of decoded tokens (`--decode-tokens`) costs in quality.

    python benchmarks/decode_tokens.py --out study               # the sizes of the demo
    python benchmarks/decode_tokens.py --out study --published --steps 480 --batch-size 16
    python benchmarks/decode_tokens.py --out study --quick       # tiny sizes, to test the benchmark

Renders scenes, and trains with all tokens decoded and with 1/2, 1/4 and 1/8 of them, with several
seeds: for the same number of steps, and for the same time. For the latter, the time of a step of
each is measured first (alternately, medians; validation is left out), and a sample gets more epochs
by the ratio. Evaluates every run on the validation split. Writes all results to
``OUT/decode_tokens.json`` and prints them as Markdown: mean and standard deviation over seeds, and
differences from all tokens, paired by seed. Reconstruction is the error of all tokens at the
checkpoint that is evaluated. To resume after an interruption, run the same command again; step
times and finished runs are kept.

A backbone is replaced by texture features on as many tokens, so no weights are needed.
``--published`` has the published sizes and 784 tokens. A training of a few hundred steps would end
in the published warm-up, with R@1 at chance: the values in `SHORT` replace the published ones.
``--config`` changes any option of `nsi train`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims import MAIN_METRICS, spread, write

from nsi_cli.support.threads import set_thread_defaults

SHORT = {"tau": 5.0, "lr": 1e-3, "lr_warmup_steps": 100}
PUBLISHED = {"backbone": "texture", "image_size": 224, "texture_grid": 28, **SHORT}
CPU = {"backbone": "texture", "image_size": 224, "texture_grid": 14}
CHANGES: dict[str, dict[str, Any]] = {"demo": {}, "cpu": CPU, "published": PUBLISHED}
"""What replaces the options of each preset."""

QUICK = {
    "image_size": 64, "texture_grid": 8, "slot_dim": 32, "num_slots": 8, "num_iterations": 1,
    "decoder_hidden_size": 32, "d_model": 32, "num_blocks": 1, "batch_size": 16,
}  # fmt: skip
PARTS = (1, 2, 4, 8)
DATA_SEED = 11
VAL, RECONSTRUCTION = "val", "reconstruction"
METRICS = (*MAIN_METRICS, "slot masks, FG-ARI", "slot masks, mBO", RECONSTRUCTION)


@dataclass(frozen=True)
class Variant:
    """A part of the tokens, and for how long it is trained; seconds are those of a step."""

    name: str
    decode_tokens: int  # 0 for all
    epochs: int
    seconds: float


def main() -> int:
    set_thread_defaults()
    asked = arguments()
    data = store(asked)
    variants = variants_of(asked, data)
    runs = {
        variant: [finished_run(asked, data, variant, seed) for seed in range(asked.seeds)]
        for variant in variants
    }
    result = comparison(runs)
    write(asked.out / "decode_tokens.json", result)
    print(markdown(result))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True)
    add("--preset", choices=tuple(CHANGES), default="demo")
    add("--published", action="store_const", dest="preset", const="published")
    add("--config", type=Path, metavar="FILE", help="YAML file of options of nsi train")
    add("--seeds", type=int, default=3)
    add("--scenes", type=int, default=3200, help="8/10 of them to train, 1/10 to validate")
    add("--steps", type=int, default=1000, help="with all tokens; rounded to whole epochs")
    add("--batch-size", type=int, help="instead of the preset's")
    add("--repeats", type=int, default=7, help="measured steps of each variant")
    add("--quick", action="store_true", help="one seed, 60 scenes, tiny sizes")
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds, asked.scenes, asked.steps, asked.repeats = 1, 60, 6, 2
    return asked


def options_of(asked: argparse.Namespace) -> dict[str, Any]:
    """The options of all runs, which replace those of the preset."""
    from nsi_cli import api

    chosen = {**CHANGES[asked.preset], **(QUICK if asked.quick else {})}
    if asked.batch_size:
        chosen["batch_size"] = asked.batch_size
    return {**chosen, **(api.read_options(asked.config) if asked.config else {})}


def config_of(asked: argparse.Namespace, data: Path | None = None, **options: Any) -> Any:
    """The options of a training, as a `TrainConfig`."""
    from nsi_cli import api

    given = {**options_of(asked), "task": "clevrtex", "data": str(data or ""), **options}
    return api.train_config(asked.preset, **given)


def store(asked: argparse.Namespace) -> Path:
    """The store of rendered scenes, with the demo's materials."""
    from nsi_cli import api
    from nsi_cli.cli.demo import SCENES_FILE

    path: Path = asked.out / "data"
    if not path.exists():
        chosen = api.read_options(SCENES_FILE)
        del chosen["synthetic"], chosen["image_size"]
        api.build_store(
            "clevrtex", path, synthetic=asked.scenes, seed=DATA_SEED,
            image_size=config_of(asked).image_size, options={**chosen, "split_by": "benchmark"},
        )  # fmt: skip
    return path


def variants_of(asked: argparse.Namespace, data: Path) -> list[Variant]:
    """All tokens, then each sample for as many steps, then each sample for as long."""
    from nsi_cli.data.store.reader import open_store
    from nsi_cli.models.build import build_backbone

    config, opened = config_of(asked, data), open_store(data)
    tokens = build_backbone(config).num_tokens
    decoded = {part: tokens // part if part > 1 else 0 for part in PARTS}
    path = asked.out / "step_seconds.json"
    if not path.exists():  # kept, as the number of epochs depends on it
        measured = step_seconds(asked, list(decoded.values()))
        write(path, {str(part): measured[count] for part, count in decoded.items()})
    seconds = {int(part): value for part, value in json.loads(path.read_text()).items()}
    per_epoch = max(1, opened.count("train") // config.batch_size)
    epochs = max(1, round(asked.steps / per_epoch))
    variants = [Variant("all tokens", 0, epochs, seconds[1])]
    for budget in ("equal steps", "equal time"):
        for part, count in list(decoded.items())[1:]:
            ratio = seconds[1] / seconds[part] if budget == "equal time" else 1
            name = f"1/{part} of the tokens, {budget}"
            variants.append(Variant(name, count, max(1, round(epochs * ratio)), seconds[part]))
    return variants


def step_seconds(asked: argparse.Namespace, counts: list[int]) -> dict[int, float]:
    """The median seconds of a training step on cached features, by the tokens that it decodes."""
    from tools.measured import seconds_of
    from tools.our_step import our_step
    from train_step import SCHEMA, scenes

    config = config_of(asked)
    ways = {n: our_step(config_of(asked, decode_tokens=n), SCHEMA, compiled=False) for n in counts}
    first = ways[0]
    tokens, channels = first.backbone.num_tokens, first.backbone.channels
    _, batch = scenes(config, tokens, channels, first.device.type)
    times: dict[int, list[float]] = {count: [] for count in counts}
    for number in range(asked.repeats + 1):
        for count, step in ways.items():
            seconds = seconds_of(lambda step=step: step.run(batch), first.device.type)
            if number:  # the first one warms up
                times[count].append(seconds)
    return {count: statistics.median(found) for count, found in times.items()}


def finished_run(asked: argparse.Namespace, data: Path, variant: Variant, seed: int) -> Path:
    """Train a run to its end and evaluate it; resume it if it was interrupted."""
    from nsi_cli import api

    name = f"tokens-{variant.decode_tokens or 'all'}-epochs-{variant.epochs}-seed-{seed}"
    path: Path = asked.out / name
    evaluation = path / "eval" / f"{VAL}.json"
    print(f"{path}", file=sys.stderr, flush=True)
    if not path.exists():
        config = config_of(
            asked, data, decode_tokens=variant.decode_tokens, epochs=variant.epochs, seed=seed
        )
        api.train(config, path)
    elif not evaluation.exists():
        api.resume(path)
    if not evaluation.exists():
        api.evaluate(path, split=VAL)
    return path


def validation(path: Path) -> dict[str, float]:
    """The line of the run's log that its best checkpoint had: the lowest validation loss."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return min((line for line in lines if line["kind"] == "val"), key=lambda line: line["loss"])


def comparison(runs: dict[Variant, list[Path]]) -> dict[str, Any]:
    """For each variant its time, and for each metric the values, and differences from the first."""
    from nsi_cli.evaluation.compare import RunRecords, compare
    from nsi_cli.evaluation.records import read_csv

    records = [
        RunRecords(
            path.name,
            {"variant": variant.name},
            seed,
            read_csv(path / "eval" / f"{VAL}-scenes.csv"),
            read_csv(path / "eval" / f"{VAL}-objects.csv"),
        )
        for variant, paths in runs.items()
        for seed, path in enumerate(paths)
    ]
    measured = compare(records)["metrics"]
    values = {
        name: [summary["values"] for summary in measured[name]]
        for name in METRICS if name in measured
    }  # fmt: skip
    values[RECONSTRUCTION] = [
        [validation(path)[RECONSTRUCTION] for path in paths] for paths in runs.values()
    ]
    steps = [last_step(paths[0]) for paths in runs.values()]
    return {
        "variants": [
            {
                **vars(variant),
                "steps": count,
                "metrics": {name: summary(each[row]) for name, each in values.items()},
                "differences": {
                    name: summary([a - b for a, b in zip(each[row], each[0], strict=True)])
                    for name, each in values.items()
                },
            }
            for row, (variant, count) in enumerate(zip(runs, steps, strict=True))
        ]
    }


def last_step(path: Path) -> int:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return int(json.loads(lines[-1])["step"])


def summary(values: list[float]) -> dict[str, Any]:
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"values": values, "mean": statistics.fmean(values), "std": std}


def markdown(result: dict[str, Any]) -> str:
    """A table with a row for each variant, and one with the differences from all tokens."""
    variants = result["variants"]
    metrics = list(variants[0]["metrics"])
    lines = [
        "| decoded | tokens | seconds per step | steps | " + " | ".join(metrics) + " |",
        "|---" * (len(metrics) + 4) + "|",
    ]
    for one in variants:
        cells = [spread(one["metrics"][name]) for name in metrics]
        start = [one["name"], one["decode_tokens"] or "all", f"{one['seconds']:.3g}", one["steps"]]
        lines.append("| " + " | ".join(map(str, [*start, *cells])) + " |")
    lines += ["", "Differences from all tokens, paired by seed:", ""]
    lines += ["| decoded | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for one in variants[1:]:
        cells = [signed(one["differences"][name]) for name in metrics]
        lines.append("| " + " | ".join([one["name"], *cells]) + " |")
    return "\n".join(lines)


def signed(part: dict[str, Any]) -> str:
    return "+" * (part["mean"] >= 0) + spread(part)


if __name__ == "__main__":
    sys.exit(main())
