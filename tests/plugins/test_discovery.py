"""Plugins are found, each on its own, and none harms another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from nsi_cli.errors import PluginError
from nsi_cli.plugins.discovery import (
    Catalogue,
    Found,
    disabled_from_environment,
    discover,
    plugin_dirs_from_environment,
)

PluginFolder = Callable[[Mapping[str, str]], Path]
Brings = Callable[..., str]
Installed = Callable[..., Path]

MISSPELT = """
from nsi_cli.plugins import Task, hookimpl

@hookimpl
def nsi_task():
    return Task("misspelt", "", schema_builder="a:B")
"""


def row(catalogue: Catalogue, name: str) -> Found:
    (found,) = [found for found in catalogue.rows if found.name == name]
    return found


def test_a_folder_of_projects_brings_its_tasks(plugin_folder: PluginFolder, brings: Brings) -> None:
    folder = plugin_folder({"shapes": brings("shapes"), "cells": brings("cells", "nuclei")})

    catalogue = discover([folder])

    assert catalogue.task("shapes").summary == "of shapes"
    assert catalogue.task("nuclei").name == "nuclei"
    assert row(catalogue, "shapes") == Found(
        name="shapes",
        summary="of shapes",
        source="folder shapes",
        version="1.2",
        path=str(folder / "shapes" / "nsi_plugin_shapes"),
        status="ok",
        reason="",
    )
    names = [found.name for found in catalogue.rows]
    assert names == sorted(names)


def test_a_project_itself_is_a_plugin_folder(plugin_folder: PluginFolder, brings: Brings) -> None:
    folder = plugin_folder({"shapes": brings("shapes")})
    assert discover([folder / "shapes"]).task("shapes").name == "shapes"


def test_a_package_may_lie_under_src(
    plugin_folder: PluginFolder, brings: Brings, pyproject: Callable[..., str]
) -> None:
    folder = plugin_folder(
        {
            "shapes/pyproject.toml": pyproject("shapes", "nsi_plugin_shapes.hook"),
            "shapes/src/nsi_plugin_shapes/__init__.py": "",
            "shapes/src/nsi_plugin_shapes/hook.py": brings("shapes"),
        }
    )
    assert discover([folder]).task("shapes").name == "shapes"


def test_an_installed_distribution_brings_its_task(installed: Installed, brings: Brings) -> None:
    site = installed("cells", brings("cells"))

    found = row(discover(), "cells")

    assert (found.source, found.version, found.status) == ("package cells", "3.4", "ok")
    assert found.path == str(site / "nsi_plugin_cells")


def test_three_broken_plugins_at_once_harm_nobody(
    plugin_folder: PluginFolder, installed: Installed, brings: Brings
) -> None:
    installed("keeper", brings("scenes"))
    folder = plugin_folder(
        {"torn": "def nsi_tasks(:\n", "misspelt": MISSPELT, "taken": brings("scenes")}
    )

    catalogue = discover([folder])

    assert catalogue.task("scenes").summary == "of scenes"
    torn, misspelt = row(catalogue, "torn"), row(catalogue, "misspelt")
    assert torn.status == misspelt.status == "broken"
    assert "SyntaxError" in torn.reason
    assert "line 1" in torn.reason
    assert "nsi_task'" in misspelt.reason
    assert "did you mean 'nsi_tasks'?" in misspelt.reason
    kept, taken = [found for found in catalogue.rows if found.name == "scenes"]
    assert (kept.status, taken.status) == ("ok", "conflict")
    assert kept.source in taken.reason
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
def test_a_broken_plugin_is_told_and_harms_nobody(
    name: str, plugin_folder: PluginFolder, brings: Brings
) -> None:
    source, reason = BROKEN[name]

    catalogue = discover([plugin_folder({name: source, "shapes": brings("shapes")})])

    assert catalogue.task("shapes")
    assert row(catalogue, name).status == "broken"
    assert reason in row(catalogue, name).reason
    with pytest.raises(PluginError) as caught:
        catalogue.task(name)
    assert caught.value.exit_code == 3
    assert reason in caught.value.message
    assert f"folder {name}" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_two_plugins_of_one_name_are_refused_and_both_named(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    folder = plugin_folder(
        {"one": brings("shapes"), "two": brings("shapes"), "cells": brings("cells")}
    )

    catalogue = discover([folder])

    assert catalogue.task("cells")
    rows = [found for found in catalogue.rows if found.name == "shapes"]
    assert [found.status for found in rows] == ["conflict", "conflict"]
    with pytest.raises(PluginError) as caught:
        catalogue.task("shapes")
    for told in (caught.value.message, *(found.reason for found in rows)):
        assert "folder one" in told
        assert "folder two" in told
    assert discover([folder], disabled={"two"}).task("shapes")


def test_the_toolkits_own_task_keeps_its_name_beside_an_installed_rival(
    installed: Installed, brings: Brings
) -> None:
    installed("nsi-cli", brings("own"), entry="own", package="nsi_plugin_own")
    installed("rival", brings("own"))

    own, rival = [found for found in discover().rows if found.name == "own"]

    assert (own.source, own.status) == ("package nsi-cli", "ok")
    assert (rival.source, rival.status) == ("package rival", "conflict")


def test_the_toolkits_distribution_is_the_one_that_the_project_file_names() -> None:
    import tomllib

    from nsi_cli.plugins.candidates import TOOLKIT

    root = Path(__file__).parents[2]
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"] == TOOLKIT


def test_code_that_is_installed_and_in_a_plugin_folder_is_listed_once(
    plugin_folder: PluginFolder, brings: Brings, installed: Installed, tmp_path: Path
) -> None:
    folder = plugin_folder({"shapes": brings("shapes")})
    site = installed("shapes", "")
    (site / "nsi_plugin_shapes" / "__init__.py").unlink()
    (site / "nsi_plugin_shapes").rmdir()
    (site / "nsi_plugin_shapes").symlink_to(folder / "shapes" / "nsi_plugin_shapes")

    catalogue = discover([folder, folder, folder / "shapes"])

    assert row(catalogue, "shapes").status == "ok"
    assert row(catalogue, "shapes").source == "package shapes"


def test_two_folders_with_one_package_are_refused_rather_than_mixed_up(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    one = plugin_folder({"shapes": brings("shapes")})
    two = plugin_folder({"shapes": brings("other"), "cells": brings("cells")})

    catalogue = discover([one, two])

    assert catalogue.task("cells")
    rows = [found for found in catalogue.rows if found.name == "shapes"]
    assert [found.status for found in rows] == ["conflict", "conflict"]
    for found in rows:
        assert str(one) in found.reason
        assert str(two) in found.reason
        assert "package" in found.reason


def test_a_package_that_python_has_already_is_not_taken_over(
    plugin_folder: PluginFolder, brings: Brings, pyproject: Callable[..., str]
) -> None:
    folder = plugin_folder(
        {
            "shapes/pyproject.toml": pyproject("shapes", "json"),
            "shapes/json/__init__.py": brings("shapes"),
        }
    )

    found = row(discover([folder]), "shapes")

    assert found.status == "conflict"
    assert "package 'json' is taken by" in found.reason
    assert str(folder / "shapes") not in sys.path


def test_a_plugins_folder_hides_no_module_of_others(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    folder = plugin_folder({"shapes": brings("shapes"), "shapes/colorsys.py": "raise ValueError"})
    discover([folder])
    sys.modules.pop("colorsys", None)
    import colorsys

    assert colorsys.rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_a_disabled_plugin_is_not_imported(plugin_folder: PluginFolder, brings: Brings) -> None:
    folder = plugin_folder({"torn": "raise RuntimeError", "shapes": brings("shapes", "extra")})

    catalogue = discover([folder], disabled={"torn", "extra"})

    assert row(catalogue, "torn").status == row(catalogue, "extra").status == "disabled"
    assert "nsi_plugin_torn" not in sys.modules
    assert catalogue.task("shapes")
    with pytest.raises(PluginError, match="task 'extra' is disabled") as caught:
        catalogue.task("extra")
    assert "NSI_DISABLE" in caught.value.hint


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        ("[project", "cannot be read"),
        ("project = 3", "cannot be read"),
        ("[project]\nname = 'torn'", "names no"),
        ('[project.entry-points."nsi.tasks"]\ntorn = "away"', "no package 'away'"),
        ('[project.entry-points."nsi.tasks"]\ntorn = ""', "no package ''"),
        ('[project.entry-points]\n"nsi.tasks" = 3', "cannot be read"),
    ],
)
def test_a_project_file_that_is_no_plugins_is_told(
    project: str, reason: str, plugin_folder: PluginFolder, brings: Brings
) -> None:
    folder = plugin_folder({"torn/pyproject.toml": project, "shapes": brings("shapes")})

    catalogue = discover([folder])

    assert catalogue.task("shapes")
    assert row(catalogue, "torn").status == "broken"
    assert reason in row(catalogue, "torn").reason


def test_a_folder_without_projects_is_told(tmp_path: Path) -> None:
    assert "no plugin project" in row(discover([tmp_path]), tmp_path.name).reason


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no plugin folder"):
        discover([tmp_path / "away"])


def test_an_unknown_task_brings_a_suggestion(plugin_folder: PluginFolder, brings: Brings) -> None:
    catalogue = discover([plugin_folder({"shapes": brings("shapes")})])
    with pytest.raises(PluginError, match="unknown task 'shape'") as caught:
        catalogue.task("shape")
    assert "did you mean 'shapes'?" in caught.value.hint
    assert "known: " in caught.value.hint


def test_what_a_plugin_prints_stays_out_of_the_results(
    plugin_folder: PluginFolder, brings: Brings, capsys: pytest.CaptureFixture[str]
) -> None:
    discover([plugin_folder({"shapes": "print('hello')" + brings("shapes")})])
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "hello\n")


def test_folders_and_names_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSI_PLUGIN_PATH", os.pathsep.join(["here", "", "/there"]))
    monkeypatch.setenv("NSI_DISABLE", "one, two,")
    assert plugin_dirs_from_environment() == [Path("here"), Path("/there")]
    assert disabled_from_environment() == {"one", "two"}
    monkeypatch.delenv("NSI_PLUGIN_PATH")
    monkeypatch.delenv("NSI_DISABLE")
    assert plugin_dirs_from_environment() == []
    assert disabled_from_environment() == set()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_import_a_plugin_that_is_not_installed(
    method: str,
    plugin_folder: PluginFolder,
    brings: Brings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = "class Builder:\n    def load(self, source):\n        return source + 1\n"
    folder = plugin_folder(
        {"shapes": brings("shapes"), "shapes/nsi_plugin_shapes/builder.py": builder}
    )
    discover([Path(os.path.relpath(folder))])
    monkeypatch.chdir(tmp_path)
    from nsi_plugin_shapes.builder import Builder  # type: ignore[import-not-found]

    with ProcessPoolExecutor(1, get_context(method)) as pool:
        assert pool.submit(Builder().load, 41).result(timeout=60) == 42


def test_listing_tasks_imports_no_torch(plugin_folder: PluginFolder, brings: Brings) -> None:
    folder = plugin_folder({"shapes": brings("shapes")})
    script = (
        "import sys; from pathlib import Path\n"
        "from nsi_cli.plugins.discovery import discover\n"
        "assert 'shapes' in [row.name for row in discover([Path(sys.argv[1])]).rows]\n"
        "heavy = {'torch', 'h5py', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
