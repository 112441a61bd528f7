"""A damaged store ends every command that reads it with one line, a hint and nothing written."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "store_damages", Path(__file__).with_name("store_damages.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
DAMAGES: dict[str, Callable[[Path], object]] = _MODULE.DAMAGES

Nsi = Callable[..., Any]
OneLine = Callable[..., None]
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def damaged(store: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return Path(
        shutil.copytree(store, tmp_path / "data", ignore=shutil.ignore_patterns("features"))
    )


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_one_line_and_nothing_is_written(
    damage: str, damaged: Path, nsi: Nsi, one_line: OneLine, trained: Path,
    tiny_flags: list[str], tmp_path: Path, tree: Tree,
) -> None:  # fmt: skip
    DAMAGES[damage](damaged)
    before, run = tree(tmp_path), tree(trained)
    flags = [*tiny_flags, "--data", str(damaged), "--out", str(tmp_path / "run")]
    commands: dict[str, list[object]] = {
        "train": ["train", *flags],
        "eval": ["eval", trained, "--data", damaged],
        "interpret": ["interpret", trained, "--data", damaged, "--out", tmp_path / "page"],
        "check": ["-q", "build-data", "clevrtex", "--check", damaged],
    }
    for name, words in commands.items():
        answer = nsi(*words)
        if name == "check":
            assert "Traceback" not in answer.stdout, answer
            answer.stdout = ""  # the table of verdicts
        one_line(answer, 1, str(damaged))
        assert "Traceback" not in answer.stderr, answer
        assert "Error:" not in answer.stderr, answer  # an error of ours that nobody foresaw
        assert len(answer.stderr) < 700, answer
        assert tree(tmp_path) == before
    assert tree(trained) == run


def test_there_are_at_least_sixty_kinds() -> None:
    assert len(DAMAGES) >= 60
