"""Test the paper's claims on rendered scenes: train each variant with several seeds and compare.

    python benchmarks/claims.py --out claims              # hours on two cores; can be resumed
    python benchmarks/claims.py --out claims --quick      # tiny sizes, to test the benchmark

Renders the scenes of `nsi demo` with another seed, trains each of `VARIANTS` with the preset
`demo`, and evaluates every run on the test split. Writes the comparison to ``OUT/claims.json`` and
prints it as Markdown: for each metric the mean and standard deviation over seeds, and the
difference from the method with its paired bootstrap interval. To resume after an interruption, run
the same command again; finished runs are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nsi_cli.support.threads import set_thread_defaults

VARIANTS: dict[str, dict[str, Any]] = {
    "method": {},
    "alignment hungarian": {"alignment": "hungarian"},
    "num_blocks 0": {"num_blocks": 0},
    "without position": {"exclude_properties": "position"},
    "label_fraction 0.1": {"label_fraction": 0.1},
    "label_fraction 0.02": {"label_fraction": 0.02},
    "contrastive_weight 0": {"contrastive_weight": 0.0},
}
MAIN_METRICS = (
    "image → schema, R@1",
    "schema → image, R@1",
    "pointing",
    "IoU",
    "attention masks, FG-ARI",
    "attention masks, mBO",
)
METRICS = (*MAIN_METRICS, "size", "shape", "material")
BASELINES = {"attention masks, FG-ARI": "k-means, FG-ARI", "attention masks, mBO": "k-means, mBO"}
"""The metrics of k-means on the same features, by the metrics that are compared with them."""

DATA_SEED = 7
QUICK = {"epochs": 2, "texture_grid": 8, "slot_dim": 32, "num_slots": 8, "d_model": 32}


def main() -> int:
    set_thread_defaults()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, 60 scenes")
    options = parser.parse_args()
    seeds, changes = (1, QUICK) if options.quick else (options.seeds, {})
    data = store(options.out / "data", 60 if options.quick else None)
    runs = [
        (
            name,
            finished_run(options.out / f"{slug(name)}-{seed}", data, seed, {**chosen, **changes}),
        )
        for seed in range(seeds)
        for name, chosen in VARIANTS.items()
    ]
    runs.sort(key=lambda one: list(VARIANTS).index(one[0]))
    result = comparison(runs)
    write(options.out / "claims.json", result)
    print(markdown(result))
    return 0


def slug(name: str) -> str:
    """The name as a folder name."""
    return name.replace(" ", "-")


def store(path: Path, scenes: int | None) -> Path:
    """The store of the demo's scenes, built with a seed that nothing was tuned on."""
    from nsi_cli import api
    from nsi_cli.cli.demo import SCENES_FILE

    if not path.exists():
        chosen = api.read_options(SCENES_FILE)
        count, size = chosen.pop("synthetic"), chosen.pop("image_size")
        api.build_store(
            "clevrtex", path, synthetic=scenes or count, seed=DATA_SEED, image_size=size,
            options=chosen,
        )  # fmt: skip
    return path


def finished_run(path: Path, data: Path, seed: int, chosen: dict[str, Any]) -> Path:
    """Train a run to its end and evaluate it; resume it if it was interrupted."""
    from nsi_cli import api

    print(f"{path}", file=sys.stderr, flush=True)
    if not path.exists():
        config = api.train_config("demo", task="clevrtex", data=str(data), seed=seed, **chosen)
        api.train(config, path)
    elif not (path / "eval" / "test.json").exists():
        api.resume(path)
    if not (path / "eval" / "test.json").exists():
        api.evaluate(path)
    return path


def comparison(runs: list[tuple[str, Path]]) -> dict[str, Any]:
    """Compare the runs, the method first."""
    from nsi_cli.evaluation.compare import RunRecords, compare
    from nsi_cli.evaluation.records import read_csv
    from nsi_cli.training.run import open_run

    records = [
        RunRecords(
            path.name,
            {"variant": name},
            open_run(path).config.seed,
            read_csv(path / "eval" / "test-scenes.csv"),
            read_csv(path / "eval" / "test-objects.csv"),
        )
        for name, path in runs
    ]
    return compare(records)


def write(path: Path, result: dict[str, Any]) -> None:
    from nsi_cli.support.files import write_json

    write_json(path, result)


def markdown(result: dict[str, Any]) -> str:
    """A table with a row for each variant, and one with the differences from the method."""
    names = [group["name"].removeprefix("variant ") for group in result["groups"]]
    metrics = [name for name in METRICS if name in result["metrics"]]
    lines = ["| variant | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for row, name in enumerate(names):
        cells = [spread(result["metrics"][metric][row]) for metric in metrics]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    cells = [
        spread(result["metrics"][BASELINES[metric]][0]) if metric in BASELINES else ""
        for metric in metrics
    ]
    lines.append("| k-means | " + " | ".join(cells) + " |")
    lines += ["", "Differences from the method:", "", *lines[:2]]
    for row, name in enumerate(names[1:]):
        cells = [signed(result["differences"][metric][row]) for metric in metrics]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(summary: dict[str, Any]) -> str:
    deviation = "" if summary["std"] is None else f" ± {summary['std']:.3f}"
    return f"{summary['mean']:.3f}{deviation}"


def signed(part: dict[str, Any]) -> str:
    low, high = part["ci95"]
    return f"{part['value']:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    sys.exit(main())
