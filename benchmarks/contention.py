"""How much of its speed the demo's training keeps beside a process that keeps all cores busy.

    python benchmarks/contention.py             # half an hour, on a machine that is otherwise idle
    python benchmarks/contention.py --quick     # one short round, to see that it works
    python benchmarks/contention.py --also GOMP_SPINCOUNT=1000 OMP_NUM_THREADS=1

Measures images a second of the training step of the preset ``demo`` on cached features, each time
in a fresh process: with OpenMP's own defaults, with those that `nsi` sets, and with others that
``--also`` names. Each is measured idle and beside a process that multiplies matrices with OpenMP's
defaults; all of them in turn, in every round. Prints the medians, the ratios within a round, and
exits 1 if they are below `LEAST_KEPT` or `LEAST_IDLE`. Features are random: no step's time
depends on them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LEAST_KEPT = 0.40
"""Of the idle speed, beside the busy process."""
LEAST_IDLE = 0.97
"""Of the idle speed with OpenMP's defaults."""
DEFAULTS, OURS = "OpenMP's defaults", "nsi"
STEPS_BEFORE = 3


def main() -> int:
    asked = arguments()
    if asked.child:
        return child(asked)
    rates: dict[tuple[str, bool], list[float]] = {}
    for number in range(asked.rounds):
        for name in (DEFAULTS, OURS, *asked.also):
            for loaded in (False, True):
                rates.setdefault((name, loaded), []).append(measured(name, loaded, asked.seconds))
        last = {name + ", loaded" * loaded: round(r[-1], 1) for (name, loaded), r in rates.items()}
        print(f"round {number + 1}: {last}", file=sys.stderr)
    return report(rates)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=7)
    add("--seconds", type=float, default=20.0, help="of each measurement, three steps at least")
    add("--also", nargs="+", default=[], metavar="NAME=VALUE[,…]", help="other settings")
    add("--quick", action="store_true", help="one round of three seconds each")
    add("--child", choices=("step", "busy"), help=argparse.SUPPRESS)
    add("--ours", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds = 1, 3.0
    return asked


def report(rates: dict[tuple[str, bool], list[float]]) -> int:
    """Print what was measured, and return 1 if it is too slow."""
    kept, idle = {}, {}
    for name in dict.fromkeys(name for name, _ in rates):
        alone, beside = rates[name, False], rates[name, True]
        kept[name] = ratio(beside, alone)
        idle[name] = ratio(alone, rates[DEFAULTS, False])
        print(
            f"{name:45} idle {statistics.median(alone):7.1f} images/s"
            f" ({idle[name]:.3f} of the defaults), loaded {statistics.median(beside):7.1f}"
            f" ({kept[name]:.2f} of idle)"
        )
    print(f"nsi: {kept[OURS]:.2f} (≥ {LEAST_KEPT}) loaded, {idle[OURS]:.3f} (≥ {LEAST_IDLE}) idle")
    return int(kept[OURS] < LEAST_KEPT or idle[OURS] < LEAST_IDLE)


def ratio(some: list[float], others: list[float]) -> float:
    """The median over the rounds."""
    return statistics.median(a / b for a, b in zip(some, others, strict=True))


def measured(name: str, loaded: bool, seconds: float) -> float:
    """Images a second with the settings of that name."""
    settings = {} if name in (DEFAULTS, OURS) else dict(one.split("=") for one in name.split(","))
    command = [sys.executable, __file__, "--child", "step", "--seconds", str(seconds)]
    command += ["--ours"] if name == OURS else []
    with busy() if loaded else idle():
        done = subprocess.run(
            command, env=environment() | settings, stdout=subprocess.PIPE, check=True
        )
    return float(done.stdout)


def environment() -> dict[str, str]:
    """The environment without any setting of threads."""
    prefixes = ("OMP_", "GOMP_", "KMP_", "MKL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def busy() -> Iterator[None]:
    """Beside a process that multiplies matrices on all cores."""
    command = [sys.executable, __file__, "--child", "busy"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield
    finally:
        process.kill()
        process.wait()


def child(asked: argparse.Namespace) -> int:
    """Do the work of one process; torch is imported after the settings."""
    if asked.ours:
        from nsi_cli.support.threads import set_thread_defaults

        set_thread_defaults()
    if asked.child == "busy":
        multiply()
    else:
        print(train(asked.seconds))
    return 0


def multiply() -> None:
    import torch

    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    print("ready", flush=True)
    while True:
        torch.mm(left, right)


def train(seconds: float) -> float:
    """Images a second of the demo's step, over so many seconds and three steps at least."""
    from our_step import our_step
    from train_step import SCHEMA, scenes

    from nsi_cli.training.presets import resolve

    config = resolve("demo", None, {"task": "clevrtex"})
    step = our_step(config, SCHEMA, compiled=False)
    _, batch = scenes(config, step.backbone.num_tokens, step.backbone.channels, "cpu")
    for _ in range(STEPS_BEFORE):
        step.run(batch)
    began, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - began < seconds:
        step.run(batch)
        steps += 1
    return steps * config.batch_size / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
