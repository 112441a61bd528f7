"""A tiny dataset that lives in memory, and a store of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.scene import Scene

SCHEMA = Schema((Categorical("shape", ("cube", "ball")), Continuous("x", 1, -1, 1)), 4)

LABEL = Categorical("class", ("zero", "one"))


@dataclass(frozen=True)
class Numbered:
    """Scene n is an image full of n (its last digits of base 256), with n % 5 objects.

    If they are labelled, scene n has the label that n % 3 indexes, and none if that is 2.
    """

    raw: Path
    sizes: tuple[tuple[str, int], ...] = (("train", 11), ("test", 3))
    masked: bool = True
    labelled: bool = False

    def scene_label(self) -> Categorical | None:
        return LABEL if self.labelled else None

    def schema(self) -> Schema:
        return SCHEMA

    def splits(self) -> dict[str, list[int]]:
        starts = np.cumsum([0, *(size for _, size in self.sizes)])
        return {
            split: list(range(start, start + size))
            for (split, size), start in zip(self.sizes, starts, strict=False)
        }

    def load(self, source: int) -> Scene:
        image = np.full((16, 16, 3), source % 256, np.uint8)
        count = source % 5
        primitives = SCHEMA.encode([{"shape": "ball", "x": source / 100}] * count)
        mask = np.zeros((16, 16), np.uint8)
        mask[0, :count] = range(1, count + 1)
        label = [*LABEL.values, None][source % 3] if self.labelled else None
        return Scene(
            f"scene{source}", image, primitives, mask if self.masked else None, label=label
        )


@pytest.fixture(scope="session")
def numbered() -> type[Numbered]:
    """The schema builder `Numbered`."""
    return Numbered


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Store]:
    """Build a store of `Numbered` scenes: ``make_store(train=11, test=3)``."""

    def make(
        *, masked: bool = True, labelled: bool = False, name: str = "store", **sizes: int
    ) -> Store:
        splits = tuple((sizes or {"train": 11, "test": 3}).items())
        builder = Numbered(tmp_path / "raw", splits, masked, labelled)
        build_store(builder, "numbered", tmp_path / name, BuildOptions(16))
        return open_store(tmp_path / name)

    return make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    """A store of 11 training and 3 test scenes."""
    return make_store()


@pytest.fixture
def serving() -> Iterator[Callable[..., Any]]:
    """Serves files with faults on the loopback interface: ``serving({name: bytes}, …)``."""
    path = Path(__file__).with_name("download") / "nasty_server.py"
    spec = importlib.util.spec_from_file_location("nasty_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for what its fields are
    spec.loader.exec_module(module)
    with ExitStack() as stack:
        yield lambda *files, **settings: stack.enter_context(module.serving(*files, **settings))
