"""The options of a build that every task has, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsi_cli.data.build.vocabulary import Vocabulary


@dataclass(frozen=True)
class BuildOptions:
    """The options of a build."""

    image_size: int = 224
    workers: int = 0  # processes that load scenes; 0: none beside this one
    max_skipped: float = 0.001  # share of unreadable scenes above which the build fails
    limit: int | None = None  # build only this many scenes, the first of each split
    vocabulary: Vocabulary | None = None  # of another store, whose ids are used
    recorded: Mapping[str, Any] = field(default_factory=dict)  # options to record in build.json


def folders_of(task: str, out: Path | str | None, raw: Path | str | None) -> tuple[Path, Path]:
    """The folders of a store and of its raw data, by default data/TASK and OUT-raw."""
    store = Path(out or Path("data") / task)
    return store, Path(raw or store.with_name(f"{store.name}-raw"))
