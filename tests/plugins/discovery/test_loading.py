"""A plugin that fails to load is listed with the reason, and affects no other plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nsi_cli.plugins.discovery.discover import (
    TaskInfo,
    TaskRegistry,
    discover,
)
from nsi_cli.support.errors import PluginError

PluginFolder = Callable[[Mapping[str, str]], Path]
HookSource = Callable[..., str]
Installed = Callable[..., Path]
Row = Callable[[TaskRegistry, str], TaskInfo]

pytestmark = pytest.mark.usefixtures("no_probes")

MISSPELT = """
from nsi_cli.plugins import Task, hookimpl

@hookimpl
def nsi_task():
    return Task("misspelt", "", schema_builder="a:B")
"""


def test_three_broken_plugins_affect_no_other(
    plugin_folder: PluginFolder, installed: Installed, hook_source: HookSource, row: Row
) -> None:
    installed("keeper", hook_source("scenes"))
    folder = plugin_folder(
        {"torn": "def nsi_tasks(:\n", "misspelt": MISSPELT, "taken": hook_source("scenes")}
    )

    registry = discover([folder])

    assert registry.task("scenes").summary == "of scenes"
    torn, misspelt = row(registry, "torn"), row(registry, "misspelt")
    assert torn.status == misspelt.status == "broken"
    assert "SyntaxError" in torn.reason
    assert "line 1" in torn.reason
    assert "nsi_task'" in misspelt.reason
    assert "did you mean 'nsi_tasks'?" in misspelt.reason
    usable, taken = [info for info in registry.rows if info.name == "scenes"]
    assert (usable.status, taken.status) == ("ok", "conflict")
    assert usable.source in taken.reason
    assert taken.source in taken.reason


BROKEN = {
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "raises": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "needs": ("import a_package_that_is_away", "No module named 'a_package_that_is_away'"),
    "empty": ("", "no hook nsi_tasks"),
    "unmarked": ("def nsi_tasks(): ...", "not marked with @hookimpl"),
}
HOOKS = {
    "fails": ("nsi_tasks(): raise KeyError('depth')", "its hook nsi_tasks: KeyError: 'depth'"),
    "quits": ("nsi_tasks(): raise SystemExit", "SystemExit"),
    "demands": ("nsi_tasks(config): ...", "config"),
    "nothing": ("nsi_tasks(): ...", "returned nothing, not a Task"),
    "empties": ("nsi_tasks(): return []", "returned nothing, not a Task"),
    "rubbish": ("nsi_tasks(): return ['shapes']", "returned a str, not a Task"),
    "repeats": ("nsi_tasks(): return [Task('a', '', 'b:C')] * 2", "task 'a' twice"),
    "shouts": ("nsi_tasks(): return Task('LOUD', '', 'b:C')", "must be lower-case"),
}
for _name, (_body, _reason) in HOOKS.items():
    _source = f"from nsi_cli.plugins import Task, hookimpl\n@hookimpl\ndef {_body}"
    BROKEN[_name] = (_source, _reason)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_the_reason_and_affects_no_other(
    name: str, plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    source, reason = BROKEN[name]

    registry = discover([plugin_folder({name: source, "shapes": hook_source("shapes")})])

    assert registry.task("shapes")
    assert row(registry, name).status == "broken"
    assert reason in row(registry, name).reason
    with pytest.raises(PluginError) as caught:
        registry.task(name)
    assert caught.value.exit_code == 3
    assert reason in caught.value.message
    assert f"folder {name}" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


UNREADABLE = {
    "mute": ("__str__ = lambda self: 1 / 0", "Odd: (no text: ZeroDivisionError)"),
    "quitter": ("def __str__(self): raise SystemExit", "Odd: (no text: SystemExit)"),
    "typeless": ("__str__ = lambda self: None", "Odd: (no text: TypeError)"),
    "half": ("__str__ = lambda self: 'half \\ud83d of a pair'", r"Odd: half \ud83d of a pair"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_exception_whose_text_cannot_be_printed_is_described(
    name: str, plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    body, reason = UNREADABLE[name]
    source = f"class Odd(Exception):\n    {body}\n\nraise Odd"

    registry = discover([plugin_folder({name: source, "shapes": hook_source("shapes")})])

    assert registry.task("shapes")
    assert row(registry, name).status == "broken"
    assert row(registry, name).reason.endswith(reason)
    row(registry, name).reason.encode()


def test_a_summary_is_one_line_that_can_be_printed(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    odd = hook_source("shapes").replace("of shapes", r"of\nhalf \ud83d")
    number = hook_source("cells").replace('"of cells"', "3")

    registry = discover([plugin_folder({"shapes": odd, "cells": number})])

    assert row(registry, "shapes").summary == r"of half \ud83d"
    assert row(registry, "cells").status == "broken"
    assert "the summary of task 'cells' must be a string" in row(registry, "cells").reason


OUTPUT_CODE = {
    "print": "print('noise')",
    "descriptor": "import os; os.write(1, b'noise\\n')",
    "original stream": "import sys; sys.__stdout__.write('noise\\n')",
    "libc": "import ctypes; ctypes.CDLL(None).puts(b'noise')",
    "process": "import os; os.system('echo noise')",
}


@pytest.mark.parametrize("code", OUTPUT_CODE.values(), ids=list(OUTPUT_CODE))
def test_output_at_import_goes_to_stderr(
    code: str,
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    capfd: pytest.CaptureFixture[str],
) -> None:
    print("before")
    discover([plugin_folder({"shapes": code + hook_source("shapes")})])
    print("after")

    captured = capfd.readouterr()

    assert captured.out == "before\nafter\n"
    assert captured.err == "noise\n"


def test_output_of_a_lazy_part_goes_to_stderr(
    plugin_folder: PluginFolder, hook_source: HookSource, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = hook_source("shapes").replace("away:Builder", "nsi_plugin_shapes.builder:Builder")
    builder = "import os; os.write(1, b'noise')\nclass Builder: ..."
    folder = plugin_folder({"shapes": hook, "shapes/nsi_plugin_shapes/builder.py": builder})

    discover([folder]).task("shapes").load_schema_builder()

    assert capfd.readouterr() == ("", "noise")


def test_a_plugin_that_reads_stdin_gets_no_input(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    source = "import sys; sys.stdin = open(0, closefd=False); input()"
    registry = discover([plugin_folder({"asks": source, "shapes": hook_source("shapes")})])
    assert registry.task("shapes")
    assert "EOFError" in row(registry, "asks").reason


def test_standard_descriptors_that_a_plugin_closes_are_restored(
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    row: Row,
    capfd: pytest.CaptureFixture[str],
) -> None:
    closes = "import os; os.closerange(0, 3)" + hook_source("closes")

    registry = discover([plugin_folder({"closes": closes, "shapes": hook_source("shapes")})])

    assert registry.task("shapes")
    assert row(registry, "closes").status == "broken"
    assert "closed or replaced file descriptors" in row(registry, "closes").reason
    print("still here")
    assert capfd.readouterr().out == "still here\n"
