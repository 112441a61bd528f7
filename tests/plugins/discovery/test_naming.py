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
Brings = Callable[..., str]
Installed = Callable[..., Path]
Row = Callable[[TaskRegistry, str], TaskInfo]

pytestmark = pytest.mark.usefixtures("no_probes")


def test_two_plugins_of_one_name_are_refused_and_both_named(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    folder = plugin_folder(
        {"one": brings("shapes"), "two": brings("shapes"), "cells": brings("cells")}
    )

    registry = discover([folder])

    assert registry.task("cells")
    rows = [found for found in registry.rows if found.name == "shapes"]
    assert [found.status for found in rows] == ["conflict", "conflict"]
    with pytest.raises(PluginError) as caught:
        registry.task("shapes")
    for result in (caught.value.message, *(found.reason for found in rows)):
        assert "folder one" in result
        assert "folder two" in result
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

    from nsi_cli.plugins.discovery.entry_points import TOOLKIT

    root = Path(__file__).parents[3]
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"] == TOOLKIT


def test_code_that_is_installed_and_in_a_plugin_folder_is_listed_once(
    plugin_folder: PluginFolder, brings: Brings, installed: Installed, tmp_path: Path, row: Row
) -> None:
    folder = plugin_folder({"shapes": brings("shapes")})
    site = installed("shapes", "")
    (site / "nsi_plugin_shapes" / "__init__.py").unlink()
    (site / "nsi_plugin_shapes").rmdir()
    (site / "nsi_plugin_shapes").symlink_to(folder / "shapes" / "nsi_plugin_shapes")

    registry = discover([folder, folder, folder / "shapes"])

    assert row(registry, "shapes").status == "ok"
    assert row(registry, "shapes").source == "package shapes"


def test_two_folders_with_one_package_are_refused_rather_than_mixed_up(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    one = plugin_folder({"shapes": brings("shapes")})
    two = plugin_folder({"shapes": brings("other"), "cells": brings("cells")})

    registry = discover([one, two])

    assert registry.task("cells")
    rows = [found for found in registry.rows if found.name == "shapes"]
    assert [found.status for found in rows] == ["conflict", "conflict"]
    for found in rows:
        assert str(one) in found.reason
        assert str(two) in found.reason
        assert "package" in found.reason


def test_a_package_that_python_has_already_is_not_taken_over(
    plugin_folder: PluginFolder, brings: Brings, pyproject: Callable[..., str], row: Row
) -> None:
    folder = plugin_folder(
        {
            "shapes/pyproject.toml": pyproject("shapes", "json"),
            "shapes/json/__init__.py": brings("shapes"),
        }
    )

    found = row(discover([folder]), "shapes")

    assert found.status == "conflict"
    assert "package name 'json' is already used by" in found.reason
    assert str(folder / "shapes") not in sys.path


def test_a_plugins_folder_hides_no_module_of_others(
    plugin_folder: PluginFolder, brings: Brings
) -> None:
    folder = plugin_folder({"shapes": brings("shapes"), "shapes/colorsys.py": "raise ValueError"})
    discover([folder])
    sys.modules.pop("colorsys", None)
    import colorsys

    assert colorsys.rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_an_unknown_task_brings_a_suggestion(plugin_folder: PluginFolder, brings: Brings) -> None:
    registry = discover([plugin_folder({"shapes": brings("shapes")})])
    with pytest.raises(PluginError, match="unknown task 'shape'") as caught:
        registry.task("shape")
    assert "did you mean 'shapes'?" in caught.value.hint
    assert "known: " in caught.value.hint
