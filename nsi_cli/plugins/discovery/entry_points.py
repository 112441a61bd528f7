"""The entry points of plugins: those of installed distributions, and those of plugin folders.

Nothing is imported here.
"""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from nsi_cli.plugins.hooks import ENTRY_POINT_GROUP
from nsi_cli.support.errors import PluginError
from nsi_cli.support.reading import read_regular

TOOLKIT = "nsi-cli"
"""The toolkit's own distribution; its tasks keep their names in every conflict."""

TABLE = f'[project.entry-points."{ENTRY_POINT_GROUP}"]'

LARGEST = 1_000_000
"""Bytes of the largest project file that is read."""

# Of several plugins with a task of the same name, the one with the lowest rank keeps it.
BUILT_IN, INSTALLED, FOLDER = range(3)


class NameConflictError(PluginError):
    """A task or package name that another plugin uses too."""


@dataclass(frozen=True)
class PluginEntryPoint:
    """An entry point of the group ``nsi.tasks``, and where its code is."""

    entry: EntryPoint
    project: str
    version: str
    rank: int
    location: Path | None  # the folder of the package, or the file of a single module, if known
    root: Path | None = None  # folder to add to sys.path for a project that is not installed
    error: PluginError | None = None  # a fault that is known before the import

    @property
    def source(self) -> str:
        """The installed package or the project in a folder that declares the entry point."""
        return f"{'folder' if self.rank == FOLDER else 'package'} {self.project}"

    @property
    def names(self) -> set[str]:
        """The names that disable the plugin before its tasks are known."""
        return {self.entry.name, self.project}

    @property
    def package(self) -> str:
        """The top-level package that the entry point imports."""
        return _package(self.entry.value)

    @property
    def description(self) -> str:
        """The source and its location, for error messages."""
        return f"{self.source} ({self.location})"


def installed_entry_points() -> list[PluginEntryPoint]:
    """Return the entry points of installed distributions, the toolkit's own first."""
    plugins = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        project = entry.dist.name if entry.dist else ""
        version = entry.dist.version if entry.dist else ""
        rank = BUILT_IN if _normalized(project) == TOOLKIT else INSTALLED
        location = location_of(_package(entry.value))
        plugins.append(PluginEntryPoint(entry, project, version, rank, location))
    return sorted(plugins, key=lambda plugin: (plugin.rank, plugin.entry.name, plugin.project))


def folder_entry_points(plugin_dirs: Sequence[Path]) -> list[PluginEntryPoint]:
    """Return the entry points of the plugin projects in folders, in the order of the folders.

    Each folder is a project (it contains a ``pyproject.toml``) or contains projects. Raises
    `PluginError` for a folder that does not exist; every other fault is recorded in the entry
    point's ``error``.
    """
    projects: dict[Path, None] = {}
    empty = []
    for folder in plugin_dirs:
        if not folder.is_dir():
            raise PluginError(
                f"no plugin folder {folder}",
                "--plugin-dir and NSI_PLUGIN_PATH take the folder of a plugin project",
            )
        inside = list(_projects(folder.resolve()))
        projects.update(dict.fromkeys(inside))
        if not inside:
            empty.append(_unusable(folder.resolve(), f"no plugin project in {folder}"))
    return [plugin for project in projects for plugin in _read_project(project)] + empty


def location_of(package: str) -> Path | None:
    """Return the folder or file that importing the package would load, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else Path(package)


def refuse_shared_packages(plugins: Sequence[PluginEntryPoint]) -> list[PluginEntryPoint]:
    """Set an error on plugins in folders whose packages share a name but not a location.

    Python imports only one package of a name, so the second plugin would run the first one's
    code.
    """
    locations: dict[str, dict[Path, PluginEntryPoint]] = {}
    for plugin in plugins:
        if plugin.root and plugin.location:
            locations.setdefault(plugin.package, {})[plugin.location] = plugin
    return [
        replace(plugin, error=_shared_package(plugin.package, list(rivals.values())))
        if len(rivals := locations.get(plugin.package, {})) > 1 and plugin.root
        else plugin
        for plugin in plugins
    ]


def _shared_package(package: str, rivals: Sequence[PluginEntryPoint]) -> NameConflictError:
    sources = " and ".join(rival.description for rival in rivals)
    return NameConflictError(
        f"several plugins have a package named '{package}': {sources}",
        "give each package its own name, or use only one of the folders",
    )


def _projects(folder: Path) -> Iterator[Path]:
    """Yield the folder if it is a plugin project, else the projects in it."""
    if (folder / "pyproject.toml").is_file():
        yield folder
        return
    for project in sorted(folder.iterdir()):
        if (project / "pyproject.toml").is_file():
            yield project


def _read_project(project: Path) -> list[PluginEntryPoint]:
    try:
        text = read_regular(project / "pyproject.toml", LARGEST).decode()
        table = tomllib.loads(text).get("project", {})
        entries = table.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
        values = {str(name): str(value) for name, value in entries.items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        cause = " ".join(str(error).split())
        return [_unusable(project, f"its pyproject.toml cannot be read: {cause}")]
    if not values:
        return [_unusable(project, f"its pyproject.toml has no {TABLE}")]
    return [_in_project(project, table, name, value) for name, value in values.items()]


def _in_project(project: Path, table: dict[str, Any], name: str, value: str) -> PluginEntryPoint:
    """Return an entry point of a project, with the location of its package."""
    plugin = PluginEntryPoint(
        EntryPoint(name, value, ENTRY_POINT_GROUP),
        str(table.get("name", project.name)),
        str(table.get("version", "")),
        FOLDER,
        project,
    )
    package = plugin.package
    for root in (project, project / "src"):
        for path in (root / package, root / f"{package}.py"):
            if package and path.exists():
                return replace(plugin, location=path.resolve(), root=root)
    cause = f"its entry point is '{value}', but {project} contains no package '{package}'"
    return replace(
        plugin, error=PluginError(cause, "move the package there, or into its src folder")
    )


def _unusable(project: Path, cause: str) -> PluginEntryPoint:
    hint = f"a plugin project names the module of its hook under {TABLE}"
    entry = EntryPoint(project.name, "", ENTRY_POINT_GROUP)
    error = PluginError(cause, hint)
    return PluginEntryPoint(entry, project.name, "", FOLDER, project, error=error)


def _package(value: str) -> str:
    return re.split(r"[.:\[\s]", value.strip(), maxsplit=1)[0]


def _normalized(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()
