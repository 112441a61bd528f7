"""Fixtures that write whole plugin projects, in plugin folders or as if installed."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from nsi_cli.plugins.discovery import probing
from nsi_cli.plugins.discovery.registry import TaskInfo, TaskRegistry
from nsi_cli.plugins.discovery.verdicts import Verdict

PluginFolder = Callable[[Mapping[str, str]], Path]


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes imports and changes of the import path after each test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("nsi_plugin_"):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, initially empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips probes, to save time in tests that do not need them."""
    monkeypatch.setattr(
        probing, "probe", lambda plugins, *_: {plugin: Verdict() for plugin in plugins}
    )


@pytest.fixture
def row() -> Callable[[TaskRegistry, str], TaskInfo]:
    """Returns the only row of a name."""

    def only(registry: TaskRegistry, name: str) -> TaskInfo:
        (info,) = [info for info in registry.rows if info.name == name]
        return info

    return only


@pytest.fixture
def hook_source() -> Callable[..., str]:
    """Returns the source of a module whose hook returns lazy tasks of the given names."""

    def source(*names: str) -> str:
        tasks = [f'Task("{name}", "of {name}", schema_builder="away:Builder")' for name in names]
        return dedent(f"""
            from nsi_cli.plugins import Task, hookimpl

            @hookimpl
            def nsi_tasks():
                return [{", ".join(tasks)}]
            """)

    return source


@pytest.fixture
def plugin_folder(tmp_path: Path) -> PluginFolder:
    """Writes a folder of plugin projects: ``{project: source of its package}``.

    The project ``shapes`` gets the package ``nsi_plugin_shapes`` and the entry point ``shapes``.
    A key with a slash is the path of a file, written unchanged.
    """
    numbers = itertools.count()

    def write(sources: Mapping[str, str]) -> Path:
        folder = tmp_path / f"plugins{next(numbers)}"
        for key, source in sources.items():
            if "/" in key:
                write_file(folder / key, source)
                continue
            package = f"nsi_plugin_{key}"
            write_file(folder / key / "pyproject.toml", project_file(key, package))
            write_file(folder / key / package / "__init__.py", source)
        return folder

    return write


@pytest.fixture
def pyproject() -> Callable[..., str]:
    """Returns the text of a project file that declares one entry point."""
    return project_file


def project_file(project: str, value: str, entry: str = "") -> str:
    return dedent(f"""
        [project]
        name = "{project}"
        version = "1.2"

        [project.entry-points."nsi.tasks"]
        {entry or project} = "{value}"
        """)


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Path]:
    """Writes a distribution with one entry point and its package to the import path."""

    def write(project: str, source: str, *, entry: str = "", package: str = "") -> Path:
        site = tmp_path / "site"
        package = package or f"nsi_plugin_{project}"
        info = site / f"{project.replace('-', '_')}-3.4.dist-info"
        write_file(info / "METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 3.4\n")
        write_file(info / "entry_points.txt", f"[nsi.tasks]\n{entry or project} = {package}\n")
        write_file(site / package / "__init__.py", source)
        if str(site) not in sys.path:
            sys.path.insert(0, str(site))
        return site

    return write


def write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
