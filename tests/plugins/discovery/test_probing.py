"""A plugin whose import would harm the process is imported in a child process only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nsi_cli.plugins.discovery.discover import TaskInfo, TaskRegistry, discover
from nsi_cli.support.errors import ConfigError, PluginError

PluginFolder = Callable[[Mapping[str, str]], Path]
HookSource = Callable[..., str]
Row = Callable[[TaskRegistry, str], TaskInfo]

HARMFUL = {
    "exits": ("import os; os._exit(0)", "its import ended the process (exit code 0)"),
    "fails": ("import os; os._exit(7)", "its import ended the process (exit code 7)"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "crashed the process (SIGSEGV)"),
    "aborts": ("import os; os.abort()", "crashed the process (SIGABRT)"),
    "interrupts": ("raise KeyboardInterrupt", "its import raised KeyboardInterrupt"),
    "signals": ("import signal; signal.raise_signal(signal.SIGINT)", "KeyboardInterrupt"),
    "closes": ("import os; os.closerange(0, 3)", "closed or replaced file descriptors"),
    "sweeps": ("import os; os.closerange(3, 256)", "closed or replaced file descriptors"),
    "empties": ("import os; os.closerange(0, 256)", "closed or replaced file descriptors"),
    "shuts": ("import sys; sys.stderr.close()", "its import closed a standard stream"),
    "delays": (
        "import atexit, os; atexit.register(os._exit, 5)",
        "ended the process (exit code 5)",
    ),
}
ENDLESS = {
    "loops": "while True: pass",
    "sleeps": "import time; time.sleep(1000)",
    "stays": "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
    "texts": "class Odd(Exception):\n    def __str__(self):\n        while True: pass\nraise Odd",
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The child processes started so far; clear it to count again."""
    processes: list[object] = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            processes.append(arguments)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return processes


def check_refused(registry: TaskRegistry, info: TaskInfo, reason: str) -> None:
    assert info.status == "broken"
    assert reason in info.reason
    with pytest.raises(PluginError) as caught:
        registry.task(info.name)
    assert caught.value.exit_code == 3
    assert reason in caught.value.message
    assert info.source in caught.value.message
    assert "nsi tasks --probe" in caught.value.hint
    assert f"NSI_DISABLE={info.name}" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_plugin_is_refused_and_affects_no_other(
    name: str, plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    source, reason = HARMFUL[name]
    folder = plugin_folder(
        {name: f"{source}\n{hook_source(name)}", "healthy": hook_source("healthy")}
    )

    registry = discover([folder])

    assert row(registry, "healthy").status == "ok"
    check_refused(registry, row(registry, name), reason)
    assert f"nsi_plugin_{name}" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_an_import_that_does_not_end_is_stopped(
    name: str,
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    row: Row,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    healthy = plugin_folder({"healthy": hook_source("healthy")})
    discover([healthy])  # caches its verdict before the limit is short
    monkeypatch.setenv("NSI_PROBE_TIMEOUT", "0.5")

    registry = discover([healthy, plugin_folder({name: f"{ENDLESS[name]}\n{hook_source(name)}"})])

    assert row(registry, "healthy").status == "ok"
    check_refused(registry, row(registry, name), "import did not end within 0.5 s")
    assert f"nsi_plugin_{name}" not in sys.modules


def test_a_hook_that_ends_the_process_is_refused(plugin_folder: PluginFolder, row: Row) -> None:
    hook = (
        "import os\nfrom nsi_cli.plugins import hookimpl\n@hookimpl\ndef nsi_tasks(): os._exit(4)"
    )
    registry = discover([plugin_folder({"leaves": hook})])
    check_refused(registry, row(registry, "leaves"), "ended the process (exit code 4)")


def test_an_installed_plugin_is_probed_too(installed: Callable[..., Path], row: Row) -> None:
    installed("exits", "import os; os._exit(1)")
    registry = discover()
    check_refused(registry, row(registry, "exits"), "ended the process")


def test_the_built_in_task_is_never_probed(started: list[object]) -> None:
    assert discover(probe_again=True).task("clevrtex")
    assert not started


@pytest.mark.slow
@pytest.mark.parametrize("source", ["", "raise RuntimeError", "import os; os._exit(0)"])
def test_a_plugin_is_probed_once(
    source: str, plugin_folder: PluginFolder, started: list[object]
) -> None:
    folder = plugin_folder({"shapes": source})

    first = discover([folder])
    assert len(started) == 1
    assert discover([folder]).rows == first.rows
    assert len(started) == 1

    discover([folder], probe_again=True)
    assert len(started) == 2


def test_a_disabled_plugin_is_not_probed(
    plugin_folder: PluginFolder, started: list[object]
) -> None:
    discover([plugin_folder({"shapes": "import os; os._exit(0)"})], disabled={"shapes"})
    assert not started


@pytest.mark.slow
def test_a_harmless_plugin_that_becomes_harmful_is_probed_again(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row, started: list[object]
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    assert discover([folder]).task("shapes")
    del sys.modules["nsi_plugin_shapes"]
    module = folder / "shapes" / "nsi_plugin_shapes" / "helper.py"

    module.write_text("import os; os._exit(0)")
    (module.parent / "__init__.py").write_text("from nsi_plugin_shapes import helper")
    registry = discover([folder])
    check_refused(registry, row(registry, "shapes"), "ended the process")
    assert len(started) == 2

    module.write_text("")
    (module.parent / "__init__.py").write_text(hook_source("shapes"))
    assert discover([folder]).task("shapes")
    assert len(started) == 3


def test_new_bytecode_causes_no_new_probe(
    plugin_folder: PluginFolder, hook_source: HookSource, started: list[object]
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    discover([folder])
    bytecode = folder / "shapes" / "nsi_plugin_shapes" / "__pycache__"
    shutil.rmtree(bytecode, ignore_errors=True)
    discover([folder])
    assert len(started) == 1


@pytest.mark.slow
def test_a_single_module_that_changes_is_probed_again(
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    pyproject: Callable[..., str],
    started: list[object],
) -> None:
    folder = plugin_folder(
        {
            "one/pyproject.toml": pyproject("one", "nsi_plugin_one"),
            "one/nsi_plugin_one.py": hook_source("one"),
        }
    )
    for count in (1, 1):
        discover([folder])
        assert len(started) == count
    os.utime(folder / "one" / "nsi_plugin_one.py", (1, 1))
    discover([folder])
    assert len(started) == 2


@pytest.mark.slow
def test_installing_a_package_causes_new_probes(
    plugin_folder: PluginFolder, hook_source: HookSource, tmp_path: Path, started: list[object]
) -> None:
    """A plugin may become harmful or harmless with a package that it imports."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    sys.path.append(str(packages))
    folder = plugin_folder({"shapes": hook_source("shapes")})
    discover([folder])

    os.utime(packages, (1, 1))
    discover([folder])

    assert len(started) == 2


@pytest.mark.slow
def test_an_import_that_did_not_end_is_probed_again_with_more_time(
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    monkeypatch: pytest.MonkeyPatch,
    row: Row,
    started: list[object],
) -> None:
    folder = plugin_folder({"slow": "import time; time.sleep(0.5)" + hook_source("slow")})
    statuses = []
    for limit in ("0.2", "0.2", "0.1", "60", "0.2"):
        monkeypatch.setenv("NSI_PROBE_TIMEOUT", limit)
        statuses.append((row(discover([folder]), "slow").status, len(started)))
    assert statuses == [("broken", 1), ("broken", 1), ("broken", 1), ("ok", 2), ("ok", 2)]


@pytest.mark.slow
def test_plugins_are_probed_at_the_same_time(
    plugin_folder: PluginFolder, hook_source: HookSource, tmp_path: Path, row: Row
) -> None:
    """Each of two plugins waits for a file that the other one writes."""
    wait = """
import pathlib, time
folder = pathlib.Path({folder!r})
(folder / {mine!r}).touch()
while not (folder / {other!r}).exists():
    time.sleep(0.01)
"""
    folder = plugin_folder(
        {
            mine: wait.format(folder=str(tmp_path), mine=mine, other=other) + hook_source(mine)
            for mine, other in (("here", "there"), ("there", "here"))
        }
    )
    registry = discover([folder])
    assert (row(registry, "here").status, row(registry, "there").status) == ("ok", "ok")


def damage_with(content: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


def replace_with_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        *map(
            damage_with, (b"", b"\xff", b"[]", b"{}", b"null", b"[" * 9_000, b'{"fingerprint": 1}')
        ),
        *map(damage_with, (b'{"fingerprint": "", "harm": 3, "limit": []}', b" " * 1_000_000)),
        replace_with_folder,
        replace_with_pipe,
    ],
)
def test_a_damaged_cache_is_no_error(
    damage: Callable[[Path], None],
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    cache_folder: Path,
    started: list[object],
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    discover([folder])
    (file,) = [path for path in cache_folder.rglob("*") if path.is_file()]
    damage(file)
    started.clear()

    assert discover([folder]).task("shapes")
    assert len(started) == 1


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["{}/a file", "/dev/null", "relative", ""])
def test_an_unwritable_cache_is_no_error(
    cache: str,
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "a file"))
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path / cache) if cache in ("a file", "/dev/null") else cache
    )
    folder = plugin_folder({"shapes": hook_source("shapes")})
    assert discover([folder]).task("shapes")
    assert discover([folder]).task("shapes")
    assert not (tmp_path / "relative").exists()


def test_a_plugin_is_loaded_without_a_probe_if_no_process_can_be_started(
    plugin_folder: PluginFolder, hook_source: HookSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert discover([plugin_folder({"shapes": hook_source("shapes")})]).task("shapes")


@pytest.mark.parametrize("limit", ["soon", "0", "-1", "nan", "inf", "1e9"])
def test_an_invalid_time_limit_is_an_error(
    limit: str,
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NSI_PROBE_TIMEOUT", limit)
    with pytest.raises(ConfigError, match="NSI_PROBE_TIMEOUT must be a number of seconds"):
        discover([plugin_folder({"shapes": hook_source("shapes")})])


@pytest.mark.slow
def test_a_probe_that_takes_long_is_announced(
    plugin_folder: PluginFolder, hook_source: HookSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    healthy = plugin_folder({"healthy": hook_source("healthy")})
    discover([healthy], note=notes.append)
    notes.clear()
    monkeypatch.setattr("nsi_cli.plugins.discovery.probing.SECONDS_BEFORE_NOTE", 0.1)
    monkeypatch.setenv("NSI_PROBE_TIMEOUT", "0.4")

    discover([healthy, plugin_folder({"sleeps": ENDLESS["sleeps"]})], note=notes.append)

    assert notes == ["checking new plugins: sleeps (at most 0.4 s, only once)"]


@pytest.mark.slow
def test_a_probe_ends_by_itself_if_nsi_was_killed(plugin_folder: PluginFolder) -> None:
    root = plugin_folder({"sleeps": ENDLESS["sleeps"]}) / "sleeps"
    request = {
        "entry": ["sleeps", "nsi_plugin_sleeps", "nsi.tasks"],
        "location": str(root / "nsi_plugin_sleeps"),
        "root": str(root),
        "rank": 2,
        "report": str(root / "report"),
        "limit": 0.1,
    }
    program = f"from nsi_cli.plugins.discovery.probe_child import main; main({request!r})"
    child = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert child.returncode == -signal.SIGALRM
