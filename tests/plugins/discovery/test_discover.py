"""Installed plugins and those in plugin folders are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from nsi_cli.plugins.discovery.discover import (
    TaskInfo,
    TaskRegistry,
    disabled_from_environment,
    discover,
    plugin_dirs_from_environment,
)
from nsi_cli.support.errors import PluginError

PluginFolder = Callable[[Mapping[str, str]], Path]
HookSource = Callable[..., str]
Installed = Callable[..., Path]
Row = Callable[[TaskRegistry, str], TaskInfo]

pytestmark = pytest.mark.usefixtures("no_probes")


def test_the_projects_in_a_folder_are_found(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    folder = plugin_folder(
        {"shapes": hook_source("shapes"), "cells": hook_source("cells", "nuclei")}
    )

    registry = discover([folder])

    assert registry.task("shapes").summary == "of shapes"
    assert registry.task("nuclei").name == "nuclei"
    assert row(registry, "shapes") == TaskInfo(
        name="shapes",
        summary="of shapes",
        source="folder shapes",
        version="1.2",
        path=str(folder / "shapes" / "nsi_plugin_shapes"),
        status="ok",
        reason="",
    )
    names = [info.name for info in registry.rows]
    assert names == sorted(names)


def test_a_project_is_itself_a_plugin_folder(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    assert discover([folder / "shapes"]).task("shapes").name == "shapes"


def test_a_package_may_be_under_src(
    plugin_folder: PluginFolder, hook_source: HookSource, pyproject: Callable[..., str]
) -> None:
    folder = plugin_folder(
        {
            "shapes/pyproject.toml": pyproject("shapes", "nsi_plugin_shapes.hook"),
            "shapes/src/nsi_plugin_shapes/__init__.py": "",
            "shapes/src/nsi_plugin_shapes/hook.py": hook_source("shapes"),
        }
    )
    assert discover([folder]).task("shapes").name == "shapes"


def test_an_installed_distribution_is_found(
    installed: Installed, hook_source: HookSource, row: Row
) -> None:
    site = installed("cells", hook_source("cells"))

    info = row(discover(), "cells")

    assert (info.source, info.version, info.status) == ("package cells", "3.4", "ok")
    assert info.path == str(site / "nsi_plugin_cells")


def test_a_disabled_plugin_is_not_imported(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    folder = plugin_folder({"torn": "raise RuntimeError", "shapes": hook_source("shapes", "extra")})

    registry = discover([folder], disabled={"torn", "extra"})

    assert row(registry, "torn").status == row(registry, "extra").status == "disabled"
    assert "nsi_plugin_torn" not in sys.modules
    assert registry.task("shapes")
    with pytest.raises(PluginError, match="task 'extra' is disabled") as caught:
        registry.task("extra")
    assert "NSI_DISABLE" in caught.value.hint


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        ("[project", "cannot be read"),
        ("project = 3", "cannot be read"),
        pytest.param("deep = " + "[" * 5_000, "cannot be read", id="deep"),
        pytest.param("#" * 2_000_000, "cannot be read", id="large"),
        ("[project]\nname = 'torn'", "has no [project.entry-points"),
        ('[project.entry-points."nsi.tasks"]\ntorn = "away"', "contains no package 'away'"),
        ('[project.entry-points."nsi.tasks"]\ntorn = ""', "contains no package ''"),
        ('[project.entry-points]\n"nsi.tasks" = 3', "cannot be read"),
    ],
)
def test_a_project_file_of_no_plugin_is_listed_with_the_reason(
    project: str, reason: str, plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    folder = plugin_folder({"torn/pyproject.toml": project, "shapes": hook_source("shapes")})

    registry = discover([folder])

    assert registry.task("shapes")
    assert row(registry, "torn").status == "broken"
    assert reason in row(registry, "torn").reason


def test_a_folder_without_projects_is_listed_with_the_reason(tmp_path: Path, row: Row) -> None:
    assert "no plugin project" in row(discover([tmp_path]), tmp_path.name).reason


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no plugin folder"):
        discover([tmp_path / "away"])


def test_plugin_folders_and_disabled_names_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NSI_PLUGIN_PATH", os.pathsep.join(["here", "", "/there"]))
    monkeypatch.setenv("NSI_DISABLE", "one, two,")
    assert plugin_dirs_from_environment() == [Path("here"), Path("/there")]
    assert disabled_from_environment() == {"one", "two"}
    monkeypatch.delenv("NSI_PLUGIN_PATH")
    monkeypatch.delenv("NSI_DISABLE")
    assert plugin_dirs_from_environment() == []
    assert disabled_from_environment() == set()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_import_a_plugin_that_is_not_installed(
    method: str,
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = "class Builder:\n    def load(self, source):\n        return source + 1\n"
    folder = plugin_folder(
        {"shapes": hook_source("shapes"), "shapes/nsi_plugin_shapes/builder.py": builder}
    )
    discover([Path(os.path.relpath(folder))])
    monkeypatch.chdir(tmp_path)
    from nsi_plugin_shapes.builder import Builder  # type: ignore[import-not-found]

    with ProcessPoolExecutor(1, get_context(method)) as pool:
        assert pool.submit(Builder().load, 41).result(timeout=60) == 42


@pytest.mark.slow
def test_listing_tasks_imports_no_torch(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    script = (
        "import sys; from pathlib import Path\n"
        "from nsi_cli.plugins.discovery.discover import discover\n"
        "assert 'shapes' in [row.name for row in discover([Path(sys.argv[1])]).rows]\n"
        "heavy = {'torch', 'h5py', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_folder_whose_name_is_not_utf8_can_be_printed(
    plugin_folder: PluginFolder, hook_source: HookSource, tmp_path: Path
) -> None:
    odd = tmp_path / "\udcff"
    plugin_folder({"shapes": hook_source("shapes"), "torn/pyproject.toml": ""}).rename(odd)

    for info in discover([odd]).rows:
        if info.name in ("shapes", "torn"):
            assert r"\udcff" in info.path
            info.reason.encode()


def test_a_plugin_for_another_version_of_the_interface_is_broken_with_the_reason(
    plugin_folder: PluginFolder, hook_source: HookSource, row: Row
) -> None:
    source = hook_source("shapes").replace('"away:Builder")', '"away:Builder", api_version=2)')
    registry = discover([plugin_folder({"shapes": source})])
    info = row(registry, "shapes")
    assert info.status == "broken"
    assert "needs version 2 of the plugin interface, but this toolkit has version 1" in info.reason
