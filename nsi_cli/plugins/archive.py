"""An archive of raw data on a server, and where its members are unpacked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from nsi_cli.support.errors import PluginError


@dataclass(frozen=True)
class Archive:
    """A tar or zip archive that ``nsi build-data TASK --download`` fetches.

    ``wanted`` is a regular expression for the last parts of a member's name, for example
    ``r"\\d+/scene_\\d+\\.json"``. The parts before them are dropped, and the file is written under
    ``folder`` in the raw folder, so several archives can fill one folder. No other member is
    written.
    """

    base: str
    """URL of the folder on the server; ``--mirror`` names another one."""
    name: str
    """The file's name in that folder."""
    wanted: str
    folder: str = ""

    def __post_init__(self) -> None:
        folder = PurePosixPath(self.folder)
        if not re.fullmatch(r"[\w.+-]*\w", self.name) or self.name.startswith("."):
            raise PluginError(f"an archive's name must be a file name, not {self.name!r}")
        if folder.is_absolute() or ".." in folder.parts:
            raise PluginError(f"{self.name}: its folder must be in the raw folder, not {folder}")
        try:
            _ = self._pattern
        except re.error as error:
            raise PluginError(
                f"{self.name}: wanted is not a regular expression: {error}"
            ) from error

    def url(self, mirror: str = "") -> str:
        """Return its URL on its own server or on a mirror."""
        return f"{(mirror or self.base).rstrip('/')}/{self.name}"

    def place(self, member: str) -> PurePosixPath | None:
        """Return a member's path in the raw folder; None if it is not wanted."""
        match = self._pattern.fullmatch(member)
        return PurePosixPath(self.folder, match["path"]) if match else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?:.*/)?(?P<path>{self.wanted})")
