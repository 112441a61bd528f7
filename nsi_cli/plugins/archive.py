"""An archive of raw data on a server, and where its members go once it is here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from nsi_cli.errors import PluginError


@dataclass(frozen=True)
class Archive:
    """A tar archive, compressed or not, that ``nsi build-data TASK --download`` fetches.

    ``wanted`` is a regular expression for the last parts of a member's name, for example
    ``r"\\d+/scene_\\d+\\.json"``: what stands before them in the archive is dropped, and they go
    under ``folder`` in the raw folder, so that several archives merge into one folder. A member
    that fits neither ``wanted`` nor, with ``--all-files``, ``others`` is never written.
    """

    base: str
    """URL of the folder that it lies in; ``--mirror`` names another one."""
    name: str
    """Its file's name there."""
    wanted: str
    others: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        folder = PurePosixPath(self.folder)
        if not re.fullmatch(r"[\w.+-]*\w", self.name) or self.name.startswith("."):
            raise PluginError(f"an archive's name must be a file's name, not {self.name!r}")
        if folder.is_absolute() or ".." in folder.parts:
            raise PluginError(f"{self.name}: its folder must lie in the raw one, not {folder}")
        try:
            assert self._patterns
        except re.error as error:
            raise PluginError(f"{self.name}: not a regular expression: {error}") from error

    def url(self, mirror: str = "") -> str:
        """Where it lies, at its own place or at a mirror."""
        return f"{(mirror or self.base).rstrip('/')}/{self.name}"

    def place(self, member: str, *, all_files: bool = False) -> PurePosixPath | None:
        """Where a member goes, relative to the raw folder; None if it is not wanted."""
        wanted, others = self._patterns
        found = wanted.fullmatch(member)
        if found is None and all_files and others:
            found = others.fullmatch(member)
        return PurePosixPath(self.folder, found["kept"]) if found else None

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
        wanted, *others = [
            re.compile(rf"(?:.*/)?(?P<kept>{pattern})")
            for pattern in (self.wanted, self.others)
            if pattern
        ]
        return wanted, others[0] if others else None
