"""What the tests of several parts share: the command, and a raw folder, a store and a run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# One thread, here and in the processes that tests start: for models this small more only wait
# for each other, and the last bits of a loss depend on their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says nothing on a busy machine.
settings.register_profile("nsi", deadline=None)
settings.load_profile("nsi")

# A shell without job control starts background jobs with SIGINT ignored, and processes inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
IMPORT_PATH = os.pathsep.join(map(str, (ROOT, *sorted((ROOT / "plugins").iterdir()))))

TINY: dict[str, Any] = {
    "task": "clevrtex",
    "backbone": "texture",
    "image_size": 48,
    "texture_grid": 6,
    "num_slots": 11,
    "slot_dim": 16,
    "num_iterations": 2,
    "mlp_hidden_size": 16,
    "decoder_hidden_size": 16,
    "d_model": 16,
    "num_blocks": 1,
    "num_heads": 2,
    "embed_dim": 8,
    "batch_size": 8,
    "epochs": 3,
    "lr": 1e-3,
    "lr_warmup_steps": 5,
    "log_every": 1,
    "num_workers": 0,
    "pictures_every": 2,
    "accelerator": "cpu",
}
"""A training of seconds: 54 scenes, 3 epochs of 6 steps."""


class Metrics:
    """What a command answered: its exit code, and what it printed where."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


Nsi = Callable[..., Metrics]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that a test starts."""
    return {**os.environ, "PYTHONPATH": IMPORT_PATH, "COLUMNS": "100", **more}


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Verdicts on the plugins of tests stay out of the user's cache; weights are found there."""
    os.environ.setdefault("HF_HOME", str(Path("~/.cache/huggingface").expanduser()))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def run_nsi() -> Nsi:
    """Runs ``nsi`` in a process of its own: ``run_nsi("tasks", "--json", cwd=folder)``.

    ``command`` is what starts it, and ``variables`` are those of the environment.
    """

    def run(
        *words: object,
        cwd: Path | None = None,
        command: Sequence[object] = (sys.executable, "-m", "nsi_cli"),
        **variables: str,
    ) -> Metrics:
        done = subprocess.run(
            [*map(str, command), *map(str, words)],
            cwd=cwd, env=environment(**variables), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Metrics(done.returncode, done.stdout, done.stderr)

    return run


def _heed_hangups() -> None:
    """Under nohup the tests ignore SIGHUP, and so would the processes that they start."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def start_nsi() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``nsi`` in a session of its own, to be sent signals; what still runs is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "nsi_cli", *map(str, words)],
                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True, preexec_fn=_heed_hangups,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture
def nsi() -> Iterator[Nsi]:
    """Runs ``nsi`` in this process, which has torch already: ``nsi("eval", run)``."""
    from typer.testing import CliRunner

    from nsi_cli.cli.app import app

    def run(*words: object) -> Metrics:
        done = CliRunner().invoke(app, list(map(str, words)))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Metrics(done.exit_code, done.stdout, done.stderr)

    level = logging.getLogger().level
    yield run
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder of 60 synthetic scenes with 4 materials."""
    from nsi_clevrtex.builder import ClevrtexBuilder

    folder = tmp_path_factory.mktemp("raw")
    ClevrtexBuilder(folder, materials=4).synthesize(60, seed=1, workers=0)
    return folder


@pytest.fixture(scope="session")
def store(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their store, at 48 pixels."""
    from nsi_clevrtex.builder import ClevrtexBuilder

    from nsi_cli.data.build.build import build_store
    from nsi_cli.data.build.options import BuildOptions

    builder = ClevrtexBuilder(raw, materials=4)
    return build_store(
        builder, "clevrtex", tmp_path_factory.mktemp("store") / "data", BuildOptions(48)
    )


@pytest.fixture(scope="session")
def tiny(store: Path) -> dict[str, Any]:
    """The options of a training of seconds on that store."""
    return {**TINY, "data": str(store)}


@pytest.fixture(scope="session")
def tiny_flags(tiny: dict[str, Any]) -> list[str]:
    """The same as flags."""
    return [word for name, value in tiny.items()
            for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip


@pytest.fixture(scope="session")
def trained(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with those options; tests read it and leave it as it is."""
    from nsi_cli import api

    out = tmp_path_factory.mktemp("runs") / "trained"
    api.train(api.train_config(**tiny), out)
    return out


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Everything below a folder, to see that nothing was written."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
            for path in sorted(folder.rglob("*"))
        }

    return read
