"""Measure the demo's training speed, idle and beside a process that keeps all cores busy.

    python benchmarks/contention.py             # half an hour, on a machine that is otherwise idle
    python benchmarks/contention.py --quick     # one short round, to test the benchmark
    python benchmarks/contention.py --also GOMP_SPINCOUNT=1000 OMP_NUM_THREADS=1

Measures images per second of the training step of the preset ``demo`` on cached features, each time
in a fresh process: with OpenMP's default settings, with those that `nsi` sets, and with those of
``--also``. Each is measured idle, and beside a process that multiplies matrices with OpenMP's
defaults. Every round measures all of them. Prints the medians and the ratios (computed within each
round); exits 1 if a ratio is below `LEAST_KEPT` or `LEAST_IDLE`. Features are random; the time of a
step does not depend on them.
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
"""The least share of its idle speed that `nsi` must keep beside the busy process."""
LEAST_IDLE = 0.97
"""The least idle speed of `nsi`, as a share of that with OpenMP's defaults."""
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
    add("--seconds", type=float, default=20.0, help="per measurement, at least three steps")
    add("--also", nargs="+", default=[], metavar="NAME=VALUE[,…]", help="other settings to measure")
    add("--quick", action="store_true", help="one round, three seconds per measurement")
    add("--child", choices=("step", "busy"), help=argparse.SUPPRESS)
    add("--ours", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds = 1, 3.0
    return asked


def report(rates: dict[tuple[str, bool], list[float]]) -> int:
    """Print the results; return 1 if a ratio is too low, else 0."""
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
    """Return the median of the ratios of the rounds."""
    return statistics.median(a / b for a, b in zip(some, others, strict=True))


def measured(name: str, loaded: bool, seconds: float) -> float:
    """Return images per second with the settings of that name."""
    settings = {} if name in (DEFAULTS, OURS) else dict(one.split("=") for one in name.split(","))
    command = [sys.executable, __file__, "--child", "step", "--seconds", str(seconds)]
    command += ["--ours"] if name == OURS else []
    with busy() if loaded else idle():
        done = subprocess.run(
            command, env=environment() | settings, stdout=subprocess.PIPE, check=True
        )
    return float(done.stdout)


def environment() -> dict[str, str]:
    """Return the environment without thread settings."""
    prefixes = ("OMP_", "GOMP_", "KMP_", "MKL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def busy() -> Iterator[None]:
    """Run a process that multiplies matrices on all cores."""
    command = [sys.executable, __file__, "--child", "busy"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # wait until it has started
        yield
    finally:
        process.kill()
        process.wait()


def child(asked: argparse.Namespace) -> int:
    """Do the work of a child process; torch is imported after the settings are made."""
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
    """Return images per second of the demo's step, over ``seconds`` and at least three steps."""
    from tools.our_step import our_step
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
