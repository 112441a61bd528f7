"""Check and measure the toolkit on a CUDA machine, in one command of at most ten minutes.

    python benchmarks/gpu_day.py --out gpu_day                      # a CUDA device
    python benchmarks/gpu_day.py --out gpu_day --device cpu --tiny  # to test the benchmark

Measures, with the published sizes, bf16-mixed and batch 128:

- correctness: loss and gradient of a step against the CPU (float32, bf16-mixed, accumulation, a
  sample of tokens, compiled, two processes on the device);
- the time of a step with and without cached features, and the time of each part and its share of
  the fastest matrix product measured in the same run;
- the peak memory of the decoder with its gradients, of a plain decoder, and of the plain decoder
  under `torch.utils.checkpoint`;
- the speed of filling the feature cache;
- from these, the time of the published 300 epochs on CLEVRTex, without validation, reading and
  logging.

Every part runs in a process of its own with a time limit. A case that fails is written as failed,
with the reason; the other cases are measured. Writes ``OUT/gpu_day.json``, ``OUT/gpu_day.md`` and
what each part printed, and prints the Markdown. Exits 1 if a case failed or a gradient is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("gpu_parts.py")
MINUTES = 10.0
"""The limit of all parts together."""
EPOCHS, TRAIN, VAL = 300, 37_500, 2_500
"""The published training, and the scenes of CLEVRTex's splits that it reads."""


@dataclass(frozen=True)
class Part:
    """A part of `gpu_parts.py`: its title, its cases, and the limit of its time of `MINUTES`."""

    name: str
    title: str
    cases: tuple[str, ...]
    seconds: float


PARTS = (
    Part(
        "correctness", "Against the CPU",
        ("float32", "bf16-mixed", "accumulation", "a sample of tokens"), 120,
    ),
    Part("step", "Step", ("cached features", "no cache"), 120),
    Part("cache", "Feature cache", ("filling",), 120),
    Part("memory", "Decoder with gradients", ("ours", "plain decoder", "torch.utils.checkpoint"),
         60),
    Part("processes", "Two processes on one device", ("2 processes",), 60),
    Part("compilation", "Compiled", ("compiled",), 150),
)  # fmt: skip


@dataclass
class Outcome:
    """The result of a part: measured values by row, and reasons by the case that failed."""

    title: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def wrong(self) -> bool:
        """Whether a case failed, or a gradient is over its limit."""
        return bool(self.failed) or any(not row.get("within", True) for row in self.rows.values())


def main() -> int:
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * asked.minutes
    machine, outcomes = "unknown machine", {}
    for part in PARTS:
        limit = min(part.seconds * asked.minutes / MINUTES, end - time.monotonic())
        print(f"{part.title} (at most {limit:.0f} s)", file=sys.stderr, flush=True)
        lines, fault = run_part(part, asked, limit)
        outcomes[part.name] = outcome_of(part, lines, fault)
        machine = next((line["machine"] for line in lines if "machine" in line), machine)
    outcomes["projection"] = projection(outcomes, asked.batch_size)
    sizes = "tiny sizes, a dry run whose times mean nothing" if asked.tiny else "published sizes"
    title = f"{machine}, batch {asked.batch_size}, {sizes}"
    text = markdown(title, list(outcomes.values()))
    whole = {"machine": machine, "batch_size": asked.batch_size, "tiny": asked.tiny}
    parts = {name: vars(outcome) for name, outcome in outcomes.items()}
    (asked.out / "gpu_day.json").write_text(json.dumps({**whole, "parts": parts}, indent=2) + "\n")
    (asked.out / "gpu_day.md").write_text(text)
    print(text, end="")
    return int(any(outcome.wrong() for outcome in outcomes.values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True)
    add("--device", choices=("cpu", "cuda"), default="cuda")
    add("--batch-size", type=int, help="scenes per step; 128, or 4 with --tiny")
    add("--minutes", type=float, default=MINUTES, help="limit of all parts together")
    add("--tiny", action="store_true", help="tiny sizes, to test the benchmark")
    asked = parser.parse_args()
    asked.batch_size = asked.batch_size or (4 if asked.tiny else 128)
    return asked


def run_part(
    part: Part, asked: argparse.Namespace, limit: float
) -> tuple[list[dict[str, Any]], str]:
    """Run a part in a process of its own; return its lines, and why it did not end by itself."""
    if limit <= 0:
        return [], f"no time left of {asked.minutes:g} minutes"
    command = [sys.executable, str(SCRIPT), part.name, "--device", asked.device]
    command += ["--batch-size", str(asked.batch_size), *(["--tiny"] if asked.tiny else [])]
    output, log = (asked.out / f"{part.name}.{kind}" for kind in ("jsonl", "log"))
    fault = ""
    with output.open("w") as lines, log.open("w") as errors:
        child = subprocess.Popen(command, stdout=lines, stderr=errors, start_new_session=True)
        try:
            code = child.wait(limit)
            fault = last_line(log) or f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            fault = f"stopped after {limit:.0f} s"
        finally:
            stop(child)
    return complete_lines(output), fault


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a part and all processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or [""])[-1][:200]


def complete_lines(output: Path) -> list[dict[str, Any]]:
    """The JSON lines of a part, without one that was half written and what libraries print."""
    whole = output.read_text(errors="replace").split("\n")[:-1]
    return [json.loads(line) for line in whole if line.startswith('{"')]


def outcome_of(part: Part, lines: Sequence[dict[str, Any]], fault: str) -> Outcome:
    """The rows of a part, named by their cases; a case without any has failed."""
    outcome = Outcome(part.title)
    for line in lines:
        if "failed" in line:
            outcome.failed[line["case"]] = line["failed"]
        for name, values in line.get("rows", {}).items():
            outcome.rows[name or line["case"]] = values
    reported = {line.get("case") for line in lines}
    for case in part.cases:
        if case not in reported:
            outcome.failed[case] = fault or "no result"
    return outcome


def projection(outcomes: dict[str, Outcome], batch_size: int) -> Outcome:
    """The hours of the published training, from the measured step and the filling of the cache."""
    outcome, steps = Outcome(f"{EPOCHS} epochs of CLEVRTex"), EPOCHS * (TRAIN // batch_size)
    filling = outcomes["cache"].rows.get("filling")
    fill = (TRAIN + VAL) / filling["images/s"] / 3600 if filling else None
    ways = {name: row for name, row in outcomes["step"].rows.items() if "images/s" in row}
    for name, row in ways.items():
        hours = {"steps": steps, "hours": steps * row["ms"] / 3.6e6}
        if "no cache" in name:
            outcome.rows[name] = hours
        elif fill is None:
            outcome.failed[name] = "the speed of filling the cache was not measured"
        else:
            outcome.rows[name] = {**hours, "hours to fill the cache": fill}
    if not ways:
        outcome.failed["step"] = "the time of a step was not measured"
    return outcome


def markdown(title: str, outcomes: Sequence[Outcome]) -> str:
    """A table for each part."""
    lines = [f"# {title}"]
    for outcome in outcomes:
        columns = list(dict.fromkeys(key for row in outcome.rows.values() for key in row))
        lines += ["", f"## {outcome.title}", ""]
        if columns:
            lines += ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name, row in outcome.rows.items():
            cells = [cell(row.get(column, "")) for column in columns]
            lines.append("| " + " | ".join([name, *cells]) + " |")
        if outcome.failed:
            lines += ["", *(f"- {name}: failed: {why}" for name, why in outcome.failed.items())]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


if __name__ == "__main__":
    sys.exit(main())
