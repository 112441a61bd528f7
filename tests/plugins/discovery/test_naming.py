"""Each name of a task or package belongs to one plugin."""

from __future__ import annotations

import sys
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


def test_plugins_whose_tasks_share_a_name_are_refused_and_named(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    folder = plugin_folder(
        {"one": hook_source("shapes"), "two": hook_source("shapes"), "cells": hook_source("cells")}
    )

    registry = discover([folder])

    assert registry.task("cells")
    rows = [info for info in registry.rows if info.name == "shapes"]
    assert [info.status for info in rows] == ["conflict", "conflict"]
    with pytest.raises(PluginError) as caught:
        registry.task("shapes")
    for result in (caught.value.message, *(info.reason for info in rows)):
        assert "folder one" in result
        assert "folder two" in result
    assert discover([folder], disabled={"two"}).task("shapes")


def test_the_toolkits_own_task_keeps_its_name_in_a_conflict(
    installed: Installed, hook_source: HookSource
) -> None:
    installed("nsi-cli", hook_source("own"), entry="own", package="nsi_plugin_own")
    installed("rival", hook_source("own"))

    own, rival = [info for info in discover().rows if info.name == "own"]

    assert (own.source, own.status) == ("package nsi-cli", "ok")
    assert (rival.source, rival.status) == ("package rival", "conflict")


def test_the_name_of_the_toolkits_distribution_matches_the_project_file() -> None:
    import tomllib

    from nsi_cli.plugins.discovery.entry_points import TOOLKIT

    root = Path(__file__).parents[3]
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"] == TOOLKIT


def test_code_that_is_installed_and_in_a_plugin_folder_is_listed_once(
    plugin_folder: PluginFolder,
    hook_source: HookSource,
    installed: Installed,
    tmp_path: Path,
    row: Row,
) -> None:
    folder = plugin_folder({"shapes": hook_source("shapes")})
    site = installed("shapes", "")
    (site / "nsi_plugin_shapes" / "__init__.py").unlink()
    (site / "nsi_plugin_shapes").rmdir()
    (site / "nsi_plugin_shapes").symlink_to(folder / "shapes" / "nsi_plugin_shapes")

    registry = discover([folder, folder, folder / "shapes"])

    assert row(registry, "shapes").status == "ok"
    assert row(registry, "shapes").source == "package shapes"


def test_plugin_folders_with_packages_of_the_same_name_are_refused(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    one = plugin_folder({"shapes": hook_source("shapes")})
    two = plugin_folder({"shapes": hook_source("other"), "cells": hook_source("cells")})

    registry = discover([one, two])

    assert registry.task("cells")
    rows = [info for info in registry.rows if info.name == "shapes"]
    assert [info.status for info in rows] == ["conflict", "conflict"]
    for info in rows:
        assert str(one) in info.reason
        assert str(two) in info.reason
        assert "package" in info.reason


def test_a_package_name_that_python_already_uses_is_refused(
    plugin_folder: PluginFolder, hook_source: HookSource, pyproject: Callable[..., str], row: Row
) -> None:
    folder = plugin_folder(
        {
            "shapes/pyproject.toml": pyproject("shapes", "json"),
            "shapes/json/__init__.py": hook_source("shapes"),
        }
    )

    info = row(discover([folder]), "shapes")

    assert info.status == "conflict"
    assert "package name 'json' is already used by" in info.reason
    assert str(folder / "shapes") not in sys.path


def test_a_plugin_folder_hides_no_other_module(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    folder = plugin_folder(
        {"shapes": hook_source("shapes"), "shapes/colorsys.py": "raise ValueError"}
    )
    discover([folder])
    sys.modules.pop("colorsys", None)
    import colorsys

    assert colorsys.rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_an_unknown_task_is_an_error_with_a_suggestion(
    plugin_folder: PluginFolder, hook_source: HookSource
) -> None:
    registry = discover([plugin_folder({"shapes": hook_source("shapes")})])
    with pytest.raises(PluginError, match="unknown task 'shape'") as caught:
        registry.task("shape")
    assert "did you mean 'shapes'?" in caught.value.hint
    assert "known: " in caught.value.hint
