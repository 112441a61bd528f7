"""Compare the speed of the demo's training with that of another checkout of this repository.

    git worktree add ../before COMMIT
    python benchmarks/demo_step.py --against ../before    # minutes, on a machine that is idle
    python benchmarks/demo_step.py --profile              # where the time of a step goes

Renders scenes and builds a store; then, in every round, each checkout trains the preset ``demo`` on
it with cached features, as `nsi train` does, in a fresh process. The time of a step is that between
two reports of progress, and includes reading the batch and logging; the benchmark takes the median
of the round. Prints images per second and processor time per step (medians over the rounds), and
the ratio of the speeds (computed within each round). Exits 1 if the ratio is below ``--least``, or
the losses differ in any bit.

``--profile`` prints the operators with the most time. It times each call where PyTorch dispatches
it: PyTorch's profiler keeps its records between the tensors, so that every step maps memory anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
SCENES, EPOCHS = 960, 3
STEPS_BEFORE = 4
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")
OURS, OTHER = "this checkout", "the other"


def main() -> int:
    asked = arguments()
    if asked.child:
        return child(asked)
    if asked.profile:
        return profile(asked.profiled_steps)
    with tempfile.TemporaryDirectory() as folder:
        return compare(asked, Path(folder))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--against", type=Path, help="the other checkout")
    add("--rounds", type=int, default=7)
    add("--epochs", type=int, default=EPOCHS, help="of each training; 12 steps per epoch")
    add("--least", type=float, default=1.3, help="the least ratio of the speeds")
    add("--profile", action="store_true", help="profile the step of this checkout instead")
    add("--profiled-steps", type=int, default=20)
    add("--child", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not (asked.against or asked.profile or asked.child):
        parser.error("name the other checkout with --against, or use --profile")
    return asked


def compare(asked: argparse.Namespace, folder: Path) -> int:
    from nsi_cli import api
    from nsi_cli.cli.demo import SCENES_FILE

    chosen = api.read_options(SCENES_FILE)
    chosen.pop("synthetic")
    side = chosen.pop("image_size")
    api.build_store(
        "clevrtex", folder / "data", synthetic=SCENES, seed=0, image_size=side, options=chosen
    )
    measured: dict[str, list[dict[str, Any]]] = {OURS: [], OTHER: []}
    checkouts = {OURS: HERE, OTHER: asked.against.resolve()}
    run_child(HERE, folder, 1)  # fills the feature cache
    for number in range(asked.rounds):
        order = list(checkouts) if number % 2 else list(checkouts)[::-1]
        for name in order:
            measured[name].append(run_child(checkouts[name], folder, asked.epochs))
        last = {name: round(found[-1]["rate"], 1) for name, found in measured.items()}
        print(f"round {number + 1}: {last}", file=sys.stderr)
    for name, found in measured.items():
        rate, cpu = (statistics.median(one[key] for one in found) for key in ("rate", "cpu"))
        print(f"{name:14} {rate:7.1f} images/s, {cpu * 1e3:6.1f} ms of processor time per step")
    pairs = list(zip(measured[OURS], measured[OTHER], strict=True))
    ratios = sorted(ours["rate"] / other["rate"] for ours, other in pairs)
    ratio = statistics.median(ratios)
    equal = all(ours["losses"] == other["losses"] for ours, other in pairs)
    print(
        f"ratio {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}; ≥ {asked.least:g}), "
        f"{'equal' if equal else 'OTHER'} losses"
    )
    return int(ratio < asked.least or not equal)


def run_child(checkout: Path, folder: Path, epochs: int) -> dict[str, Any]:
    """Train with the code of a checkout in a fresh process."""
    path = os.pathsep.join([str(checkout), str(checkout / "plugins" / "clevrtex")])
    command = [sys.executable, __file__, "--child", str(folder), "--epochs", str(epochs)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    if Path(result["package"]).parent.parent != checkout:
        raise SystemExit(f"{checkout} is not a checkout: {result['package']} was imported")
    return result


def child(asked: argparse.Namespace) -> int:
    """Train, and print the median speed of a step and a hash of the losses."""
    from nsi_cli.support.threads import set_thread_defaults

    set_thread_defaults()  # as `nsi train` does, before torch is imported
    import nsi_cli
    from nsi_cli import api
    from nsi_cli.support.progress import Progress

    moments: list[tuple[float, float]] = []

    class Stopwatch(Progress):
        @contextmanager
        def stage(self, what: str, *_: Any, **__: Any) -> Iterator[Any]:
            def advance(count: int, text: str = "") -> None:
                if what == "train":
                    moments.append((time.perf_counter(), time.process_time()))

            yield advance

    config = api.train_config(
        "demo", task="clevrtex", data=str(asked.child / "data"), epochs=asked.epochs
    )
    with tempfile.TemporaryDirectory(dir=asked.child) as folder:
        run = Path(folder) / "run"
        api.train(config, run, progress=Stopwatch())
        losses = hashlib.sha256((run / "metrics.jsonl").read_bytes()).hexdigest()
    steps = list(zip(moments[STEPS_BEFORE:], moments[STEPS_BEFORE + 1 :], strict=False))
    seconds, cpu = (
        statistics.median([after[kind] - before[kind] for before, after in steps])
        for kind in (0, 1)
    )
    rate = config.batch_size / seconds
    print(json.dumps({"rate": rate, "cpu": cpu, "losses": losses, "package": nsi_cli.__file__}))
    return 0


def profile(steps: int) -> int:
    """Print the operators of the step, on random features, and their share of the time."""
    from nsi_cli.support.threads import set_thread_defaults

    set_thread_defaults()
    from tools.our_step import our_step
    from torch.utils._python_dispatch import TorchDispatchMode
    from train_step import SCHEMA, scenes

    from nsi_cli.training.presets import resolve

    calls: dict[str, list[float]] = defaultdict(list)  # the seconds of each, by operator

    class Stopwatch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            began = time.perf_counter()
            result = func(*args, **(kwargs or {}))
            calls[func.__name__.partition(".")[0]].append(time.perf_counter() - began)
            return result

    config = resolve("demo", None, {"task": "clevrtex"})
    step = our_step(config, SCHEMA, compiled=False)
    _, batch = scenes(config, step.backbone.num_tokens, step.backbone.channels, "cpu")
    seconds: list[float] = []
    for number in range(STEPS_BEFORE + steps):
        began = time.perf_counter()
        step.run(batch)
        if number >= STEPS_BEFORE:
            seconds.append(time.perf_counter() - began)
    with Stopwatch():
        for _ in range(steps):
            step.run(batch)
    spent = {name: sum(each) for name, each in calls.items()}
    whole, products = sum(spent.values()), sum(spent.get(name, 0.0) for name in PRODUCTS)
    print(
        f"{statistics.median(seconds) * 1e3:.0f} ms per step; {whole / steps * 1e3:.0f} ms in "
        f"{sum(map(len, calls.values())) / steps:.0f} calls of operators, of which "
        f"{products / steps * 1e3:.0f} ms in matrix products"
    )
    for name, time_of in sorted(spent.items(), key=lambda item: -item[1])[:20]:
        print(
            f"{name:30} {time_of / whole:6.1%} {time_of / steps * 1e3:8.2f} ms"
            f" {len(calls[name]) / steps:6.0f} calls"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
