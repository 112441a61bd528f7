"""Broken plugins harm nobody else, and a plugin in a folder does the whole job."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

Nsi = Callable[..., Any]

PROJECT = """
    [project]
    name = "{name}"
    version = "0.1"

    [project.entry-points."nsi.tasks"]
    {name} = "nsi_plugin_{name}"
    """
HOOK = """
    from nsi_cli.plugins import Task, hookimpl

    @hookimpl
    def {hook}():
        return Task("{task}", "", schema_builder="away:Builder")
    """
SOURCES = {
    "syntax": "def nsi_tasks(:\n",
    "misspelt": HOOK.format(hook="nsi_task", task="misspelt"),
    "taken": HOOK.format(hook="nsi_tasks", task="clevrtex"),
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder of three plugin projects, each at fault in its own way."""
    return write_plugins(tmp_path / "plugins", SOURCES)


@pytest.mark.slow
def test_each_broken_plugin_is_listed_with_its_reason(run_nsi: Nsi, broken: Path) -> None:
    result = run_nsi("--plugin-dir", broken, "tasks", "--json")
    assert result.code == 0, result
    listed = json.loads(result.stdout)
    rows = {row["source"]: row for row in listed}
    assert (rows["folder syntax"]["status"], rows["folder misspelt"]["status"]) == ("broken",) * 2
    assert "SyntaxError" in rows["folder syntax"]["reason"]
    assert "no hook 'nsi_task'" in rows["folder misspelt"]["reason"]
    assert "did you mean 'nsi_tasks'?" in rows["folder misspelt"]["reason"]
    assert rows["folder taken"]["status"] == "conflict"
    assert "nsi-cli keeps the name" in rows["folder taken"]["reason"]
    assert [row["status"] for row in listed if row["name"] == "clevrtex"] == [
        "ok", "conflict",
    ]  # fmt: skip


@pytest.mark.slow
def test_training_works_beside_them(
    run_nsi: Nsi, broken: Path, tiny_flags: list[str], tmp_path: Path
) -> None:
    result = run_nsi("--plugin-dir", broken, "train", *tiny_flags, "--epochs", 1,
                   "--out", tmp_path / "run")  # fmt: skip
    assert result.code == 0, result
    assert (tmp_path / "run" / "checkpoints" / "best").is_dir()


@pytest.mark.slow
def test_asking_for_a_broken_one_is_one_line(
    run_nsi: Nsi, broken: Path, one_line: Callable[..., None]
) -> None:
    result = run_nsi("--plugin-dir", broken, "build-data", "syntax")
    one_line(result, 3, "task 'syntax' is broken", "SyntaxError", "fix the plugin")


@pytest.mark.slow
def test_a_task_can_be_turned_off(nsi: Nsi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSI_DISABLE", "clevrtex")
    (row,) = [row for row in json.loads(nsi("tasks", "--json").stdout)
              if row["name"] == "clevrtex"]  # fmt: skip
    assert row["status"] == "disabled"
    assert nsi("build-data", "clevrtex").code == 3


HEALTHY = HOOK.format(hook="nsi_tasks", task="healthy")
HARMFUL = {
    "exits": "import os; os._exit(0)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "closes": "import os; os.closerange(0, 256)",
    "interrupts": "raise KeyboardInterrupt",
    "unreadable": "class Odd(Exception): __str__ = lambda self: 1 / 0\nraise Odd",
    "half": "raise ValueError('\\ud83d')",
    "endless": "while True: pass",
}
NOISY = "import os; os.write(1, b'noise'); os.system('echo noise'); print('noise')\n" + dedent(
    HOOK.format(hook="nsi_tasks", task="noisy")
)


def write_plugins(folder: Path, sources: dict[str, str]) -> Path:
    for name, source in sources.items():
        package = folder / name / f"nsi_plugin_{name}"
        package.mkdir(parents=True)
        (folder / name / "pyproject.toml").write_text(dedent(PROJECT.format(name=name)))
        (package / "__init__.py").write_text(dedent(source))
    return folder


@pytest.mark.slow
def test_plugins_that_would_end_the_process_leave_one_json_document(
    run_nsi: Nsi, nsi: Nsi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    one_line: Callable[..., None],
) -> None:  # fmt: skip
    """In a folder of `--plugin-dir` and of `NSI_PLUGIN_PATH`, beside healthy ones."""
    healthy = write_plugins(tmp_path / "healthy", {"healthy": HEALTHY, "noisy": NOISY})
    harmful = write_plugins(tmp_path / "harmful", HARMFUL)
    monkeypatch.setenv("NSI_PLUGIN_PATH", str(healthy))
    assert run_nsi("tasks").code == 0  # remembers that they are harmless
    monkeypatch.setenv("NSI_PROBE_TIMEOUT", "1")

    result = run_nsi("--plugin-dir", harmful, "tasks", "--json")

    assert result.code == 0, result
    statuses = {row["name"]: row["status"] for row in json.loads(result.stdout)}
    broken = {name for name, status in statuses.items() if status != "ok"}
    assert broken == set(HARMFUL)
    assert {"healthy", "noisy", "clevrtex"} <= statuses.keys()
    assert "noise" in result.stderr
    monkeypatch.delenv("NSI_PLUGIN_PATH")
    asked = nsi("--plugin-dir", harmful / "endless", "train", "--task", "endless")
    one_line(asked, 3, "task 'endless' is broken", "its import did not end within 1 s",
             "NSI_PROBE_TIMEOUT", "nsi tasks --probe")  # fmt: skip


@pytest.mark.slow
def test_tasks_probe_checks_a_known_plugin_again(run_nsi: Nsi, tmp_path: Path) -> None:
    """As if what it needs had come, though none of its own files changed."""
    marker = tmp_path / "driver"
    source = f"import os, pathlib\nif not pathlib.Path({str(marker)!r}).exists(): os._exit(1)\n"
    folder = write_plugins(tmp_path / "plugins", {"healthy": source + dedent(HEALTHY)})

    def status(*words: str) -> str:
        rows = json.loads(run_nsi("--plugin-dir", folder, "tasks", "--json", *words).stdout)
        return next(row["status"] for row in rows if row["name"] == "healthy")

    assert status() == "broken"
    marker.touch()
    assert status() == "broken"
    assert status("--probe") == "ok"
    assert status() == "ok"


WAITS = """
    import fcntl, subprocess, sys, time
    file = open({path!r}, "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    subprocess.Popen(sleep, pass_fds=[file.fileno()])
    print("waiting", file=file, flush=True)
    while True:
        time.sleep(1)
    """
"""Holds a lock for as long as it, or the process that it started, runs."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_probe_leaves_no_process(
    number: signal.Signals, start_nsi: Callable[..., Any], tmp_path: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lock"
    folder = write_plugins(tmp_path / "plugins", {"waits": WAITS.format(path=str(path))})

    process = start_nsi("--plugin-dir", folder, "tasks")
    wait_until(lambda: path.exists() and path.read_text() != "")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in stderr
    with path.open() as file:
        wait_until(lambda: free(fcntl, file))


def free(fcntl: Any, file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


PLAIN = """
    from dataclasses import dataclass
    from pathlib import Path
    from nsi_cli.plugins import Task, hookimpl, option

    @dataclass(frozen=True)
    class Builder:
        raw: Path
        {name}: int = option(1, help="Mine.")

    @hookimpl
    def nsi_tasks():
        return Task("clash", "", schema_builder=Builder)
    """


def plain_plugin(folder: Path, option: str) -> None:
    """A task "clash" whose builder has one option, and nothing that it need not have."""
    (folder / "nsi_plugin_clash.py").write_text(dedent(PLAIN.format(name=option)))
    (folder / "pyproject.toml").write_text(dedent(PROJECT.format(name="clash")))


@pytest.mark.slow
def test_help_lists_no_flags_that_a_builder_cannot_serve(
    run_nsi: Nsi, tmp_path: Path, one_line: Callable[..., None]
) -> None:
    plain_plugin(tmp_path, "side")
    words = ("--plugin-dir", tmp_path, "build-data", "clash")
    result = run_nsi(*words, "--help").stdout
    assert "--side" in result
    for flag in ("Download", "--mirror", "--synthetic"):
        assert flag not in result
        assert flag in run_nsi("build-data", "clevrtex", "--help").stdout
    one_line(run_nsi(*words, "--download"), 2, "task 'clash' has nothing to download")


@pytest.mark.slow
def test_an_option_that_the_command_has_itself_is_the_plugins_fault(
    run_nsi: Nsi, tmp_path: Path, one_line: Callable[..., None]
) -> None:
    plain_plugin(tmp_path, "workers")
    result = run_nsi("--plugin-dir", tmp_path, "build-data", "clash", "--help")
    one_line(result, 3, "option 'workers'", "another name")
