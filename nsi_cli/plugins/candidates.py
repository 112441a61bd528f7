"""Where plugins are looked for: installed distributions, and folders of plugin projects.

A candidate is an entry point that says it brings tasks; nothing of it has been imported yet.
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

from nsi_cli.errors import PluginError
from nsi_cli.plugins.hooks import ENTRY_POINT_GROUP

TOOLKIT = "nsi-cli"
"""The distribution of the toolkit itself, whose tasks nobody else's can displace."""

TABLE = f'[project.entry-points."{ENTRY_POINT_GROUP}"]'

# Who keeps a name that several want: the lower rank.
BUILT_IN, INSTALLED, FOLDER = range(3)


class TakenError(PluginError):
    """A name that another plugin has as well."""


@dataclass(frozen=True)
class Candidate:
    """An entry point of the group ``nsi.tasks``, and where it comes from."""

    entry: EntryPoint
    project: str
    version: str
    rank: int
    location: Path | None  # the package's folder, or its single file; None where there is none
    root: Path | None = None  # what the import path needs, for a project that is not installed
    fault: PluginError | None = None  # known before anything is imported

    @property
    def source(self) -> str:
        """The distribution, or the project in a folder, that names the entry point."""
        return f"{'folder' if self.rank == FOLDER else 'package'} {self.project}"

    @property
    def names(self) -> set[str]:
        """What it can be turned off by, before its tasks are known."""
        return {self.entry.name, self.project}

    @property
    def package(self) -> str:
        """The top-level package that the entry point imports."""
        return _package(self.entry.value)

    @property
    def told(self) -> str:
        """The source and its place, as an error names them."""
        return f"{self.source} ({self.location})"


def installed_candidates() -> list[Candidate]:
    """The entry points of installed distributions, the toolkit's own first."""
    found = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        project = entry.dist.name if entry.dist else ""
        version = entry.dist.version if entry.dist else ""
        rank = BUILT_IN if _normal(project) == TOOLKIT else INSTALLED
        where = location_of(_package(entry.value))
        found.append(Candidate(entry, project, version, rank, where))
    return sorted(found, key=lambda item: (item.rank, item.entry.name, item.project))


def folder_candidates(plugin_dirs: Sequence[Path]) -> list[Candidate]:
    """The entry points of the plugin projects in folders, in the order of the folders.

    A folder is a project itself (it holds a ``pyproject.toml``), or holds projects. Raises
    `PluginError` for a folder that is not there; every other fault is the candidate's own.
    """
    projects: dict[Path, None] = {}
    found = []
    for folder in plugin_dirs:
        if not folder.is_dir():
            raise PluginError(
                f"no plugin folder {folder}",
                "--plugin-dir and NSI_PLUGIN_PATH take the folder of a plugin project",
            )
        inside = list(_projects(folder.resolve()))
        projects.update(dict.fromkeys(inside))
        if not inside:
            found.append(_faulty(folder.resolve(), f"no plugin project in {folder}"))
    return [item for project in projects for item in _read_project(project)] + found


def location_of(package: str) -> Path | None:
    """The folder or file that an import of the package would come from; imports nothing."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else Path(package)


def with_shared_packages_refused(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, those at fault whose packages bear one name but lie in different folders.

    Python imports one package of a name, so the second would silently run the first one's code.
    """
    places: dict[str, dict[Path, Candidate]] = {}
    for candidate in candidates:
        if candidate.root and candidate.location:
            places.setdefault(candidate.package, {})[candidate.location] = candidate
    return [
        replace(candidate, fault=_shared(candidate.package, list(rivals.values())))
        if len(rivals := places.get(candidate.package, {})) > 1 and candidate.root
        else candidate
        for candidate in candidates
    ]


def _shared(package: str, rivals: Sequence[Candidate]) -> TakenError:
    told = " and ".join(rival.told for rival in rivals)
    return TakenError(
        f"a package of the name '{package}' is in {told}",
        "give each package its own name, or leave all but one of the folders out",
    )


def _projects(folder: Path) -> Iterator[Path]:
    """The plugin projects of a folder: itself, else its sub-folders."""
    if (folder / "pyproject.toml").is_file():
        yield folder
        return
    for project in sorted(folder.iterdir()):
        if (project / "pyproject.toml").is_file():
            yield project


def _read_project(project: Path) -> list[Candidate]:
    try:
        with (project / "pyproject.toml").open("rb") as file:
            table = tomllib.load(file).get("project", {})
        entries = table.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
        named = {str(name): str(value) for name, value in entries.items()}
    except (OSError, ValueError, AttributeError) as error:  # ValueError: no TOML, or no UTF-8
        cause = " ".join(str(error).split())
        return [_faulty(project, f"its pyproject.toml cannot be read: {cause}")]
    if not named:
        return [_faulty(project, f"its pyproject.toml names no {TABLE}")]
    return [_in_project(project, table, name, value) for name, value in named.items()]


def _in_project(project: Path, table: dict[str, Any], name: str, value: str) -> Candidate:
    """One entry point of a project, with the place where its package lies."""
    candidate = Candidate(
        EntryPoint(name, value, ENTRY_POINT_GROUP),
        str(table.get("name", project.name)),
        str(table.get("version", "")),
        FOLDER,
        project,
    )
    package = candidate.package
    for root in (project, project / "src"):
        for place in (root / package, root / f"{package}.py"):
            if package and place.exists():
                return replace(candidate, location=place.resolve(), root=root)
    fault = f"its entry point names '{value}', but {project} holds no package '{package}'"
    return replace(candidate, fault=PluginError(fault, "put it there, or into its src folder"))


def _faulty(project: Path, fault: str) -> Candidate:
    hint = f"a plugin project names the module of its hook under {TABLE}"
    entry = EntryPoint(project.name, "", ENTRY_POINT_GROUP)
    return Candidate(entry, project.name, "", FOLDER, project, fault=PluginError(fault, hint))


def _package(value: str) -> str:
    return re.split(r"[.:\[\s]", value.strip(), maxsplit=1)[0]


def _normal(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()
