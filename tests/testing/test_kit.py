"""The contract test passes for a good task, and says what to fix in a faulty one."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nsi_cli.plugins import Task
from nsi_cli.testing import ContractError, check_task

GOOD = """
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from annotated_types import Ge
from typing import Annotated

from nsi_cli.plugins import Categorical, Continuous, Scene, Schema, option

CALLS = []


@dataclass(frozen=True)
class Builder:
    raw: Path
    side: Annotated[int, Ge(8)] = option(16, help="Pixels a side.")

    def schema(self):
        return Schema((Categorical("shape", ("disc", "box")), Continuous("x")), 3)

    def splits(self):
        names = sorted(path.name for path in self.raw.iterdir())
        return {"train": names[:-1], "test": names[-1:]}

    def load(self, source):
        value = np.load(self.raw / source)
        image = np.full((self.side, self.side, 3), value, np.uint8)
        objects = [{"shape": "box", "x": float(value) / 9}, {"shape": "disc", "x": None}]
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[:4], mask[4:8] = 1, 2
        return Scene(source, image, self.schema().encode(objects), mask)

    def synthesize(self, count, *, seed, workers, advance=None):
        self.raw.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        for number in range(count):
            np.save(self.raw / f"{number}.npy", generator.integers(9))
"""

NAMES = itertools.count()


@pytest.fixture
def task_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Task]]:
    """Makes a task from a module's source."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def make(source: str) -> Task:
        name = f"kit_example_{next(NAMES)}"
        (tmp_path / f"{name}.py").write_text(source)
        names.append(name)
        return Task("kit", "a tiny dataset", f"{name}:Builder")

    yield make
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_good_task_passes_on_scenes_that_it_synthesises(task_of: Callable[[str], Task]) -> None:
    check_task(task_of(GOOD))
    check_task(task_of(GOOD), side=8)


@pytest.mark.slow
def test_a_good_task_passes_on_a_raw_folder(task_of: Callable[[str], Task], tmp_path: Path) -> None:
    source = GOOD[: GOOD.index("    def synthesize")]
    (tmp_path / "raw").mkdir()
    for number in range(3):
        np.save(tmp_path / "raw" / f"{number}.npy", number)

    check_task(task_of(source), raw=tmp_path / "raw")

    with pytest.raises(
        AssertionError, match=r"give a folder of raw scenes, check_task\(task, raw=…\)"
    ):
        check_task(task_of(source))


FAULTS = {
    "not frozen": ("(frozen=True)", "", "must be a class under @dataclass"),
    "another first field": ("raw: Path\n", "folder: Path = 1\n", "first field of Builder"),
    "undeclared option": ('option(16, help="Pixels a side.")', "16", r"\['side'\] with nsi"),
    "no load": ("def load(", "def read(", "has no method load"),
    "import fails": (
        "import numpy",
        "import a_package_that_is_away, numpy",
        "a_package_that_is_away",
    ),
    "unseeded": ("default_rng(seed)", "default_rng()", "wrote different bytes the second time"),
    "synthesises nothing": ("in range(count)", "in range(0)", "synthesize wrote nothing"),
    "archives of another kind": (
        "    def synthesize",
        "    def archives(self):\n        return ['a.tar']\n\n    def synthesize",
        "must return one Archive or more",
    ),
    "no schema": ("return Schema(", "return (", "must return a Schema"),
    "changing schema": (
        "return Schema(",
        "CALLS.append(0)\n        return Schema((Continuous(f'x{len(CALLS)}'),), 3) or (",
        "different schema each time",
    ),
    "no scene": ('{"train": names[:-1], "test": names[-1:]}', "{}", "returns no scene"),
    "heavy source": ("path.name for", "path.name * 999 for", "pickles to"),
    "unpicklable source": ("names[:-1]", "[lambda: names]", "pickling a source"),
    "no Scene": ("return Scene(source, image", "return (source, image", "must return a Scene"),
    "impure load": (
        "value = np.load(self.raw / source)",
        "CALLS.append(0); value = len(CALLS)",
        "load\\(\\) must be pure",
    ),
    "load that differs elsewhere": (
        "value = np.load(self.raw / source)",
        "import os; value = os.getpid() % 251",
        "differently in another process",
    ),
    "id out of range": ("self.schema().encode(objects)", "np.float32([[7, 0], [0, 0]])", "id 7"),
    "infinite number": ("self.schema().encode(objects)", "np.float32([[0, np.inf]] * 2)", "finite"),
    "mask disagrees": ("mask[:4], mask[4:8] = 1, 2", "mask[:4] = 1", "no pixel in the mask"),
    "prepare": (
        "    def load(self",
        "    def prepare(self, image):\n        return image / 255\n\n    def load(self",
        "prepare\\(\\) must return",
    ),
    "one id for all": ("Scene(source,", "Scene('scene',", "share an id"),
    "a scene in two splits": ("names[-1:]}", "names[:2]}", "'train' and 'test' have the same"),
    "a split with a dash": ('"test"', '"hold-out"', "a split cannot be called 'hold-out'"),
    "sources from a generator": ("names[:-1],", "iter(names[:-1]),", "not list_iterator"),
    "no object": ("encode(objects), mask)", "encode([]))", "none of the 5 scenes .* has an object"),
    "notes as one text": (
        "    def load(self",
        "    def notes(self):\n        return 'split by name'\n\n    def load(self",
        r"notes\(\) must return a list of strings",
    ),
    "undeclared label": (
        ".encode(objects), mask)",
        ".encode(objects), mask, label='cat')",
        "has the label 'cat', but the builder declares none",
    ),
    "unknown label": (
        "    def load(self, source):",
        "    def scene_label(self):\n        return Categorical('class', ('dog',))\n\n"
        "    def load(self, source):\n        return replace(self._load(source), label='cat')\n\n"
        "    def _load(self, source):",
        "encoding its label failed: unknown class 'cat'",
    ),
    "masks of some scenes only": (
        ".encode(objects), mask)",
        ".encode(objects), None if source == '0.npy' else mask)",
        "some have none",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_builder_is_reported(fault: str, task_of: Callable[[str], Task]) -> None:
    right, wrong, result = FAULTS[fault]
    assert right in GOOD
    with pytest.raises(ContractError, match=result):
        check_task(task_of(GOOD.replace(right, wrong)))


ENCODERS = {
    "another shape": ("return embeddings[:, :1]", r"embeddings \(B, T, E\)"),
    "not finite": ("return embeddings / 0", "not finite"),
    "missing values": ("return embeddings / (primitives[..., :1] + 1)", "for missing values"),
    "absent objects seen": (
        "return embeddings + primitives[:, -1:, :1]",
        "the values of absent objects change",
    ),
    "failing": ("raise KeyError('shape')", "KeyError: 'shape'"),
    "no tensor": ("return None", "must return a tensor"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENCODERS)
def test_a_faulty_schema_encoder_is_reported(fault: str, task_of: Callable[[str], Task]) -> None:
    body, result = ENCODERS[fault]
    encoder = f"""
from nsi_cli.models.schema_encoder import PropertySchemaEncoder

class Encoder(PropertySchemaEncoder):
    def forward(self, primitives, present):
        embeddings = super().forward(primitives, present)
        {body}
"""
    task = with_part(task_of(GOOD), encoder, task_of, schema_encoder="Encoder")
    with pytest.raises(ContractError, match=result):
        check_task(task)


LOADERS = {
    "a missing scene": ("[item for item in batches][:1]", "expected each once, in order"),
    "the whole batch in every process": (
        "make_dataloader(store, split, dataclasses.replace(options, part=(0, 1)))",
        "the parts of each batch",
    ),
    "wrong records": ("[vars(item) for item in batches]", "must return .*Batch records, not dict"),
    "a new order each time": (
        "make_dataloader(store, split, dataclasses.replace(options, seed=next(NUMBERS)))"
        " if options.shuffle and options.part == (0, 1) else batches",
        "returns another order from batch",
    ),
    "start is ignored": (
        "make_dataloader(store, split, dataclasses.replace(options, start=0))",
        "from batch 1 on",
    ),
    "no scene labels": (
        "[dataclasses.replace(item, scene_labels=torch.ones(len(item))) for item in batches]",
        "`scene_labels`",
    ),
    "no length": ("(item for item in batches)", "has no len"),
    "float images": (
        "[item.map(lambda x: x.float() if x.ndim == 4 else x) for item in batches]",
        "`images` must be uint8",
    ),
    "present as numbers": (
        "[item.map(lambda x: x.int() if x.dtype == torch.bool else x) for item in batches]",
        "`present`",
    ),
    "other primitives": (
        "[item.map(lambda x: x + 1 if x.ndim == 3 and x.is_floating_point() else x)"
        " for item in batches]",
        "`primitives`",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", LOADERS)
def test_a_faulty_dataloader_is_reported(fault: str, task_of: Callable[[str], Task]) -> None:
    expression, result = LOADERS[fault]
    loader = f"""
import dataclasses
import itertools
import torch
from nsi_cli.data.loading.loader import make_dataloader

NUMBERS = itertools.count()

def make(store, split, options):
    batches = make_dataloader(store, split, options)
    return {expression}
"""
    task = with_part(task_of(GOOD), loader, task_of, dataloader="make")
    with pytest.raises(ContractError, match=result):
        check_task(task)


def with_part(task: Task, source: str, task_of: Callable[[str], Task], **part: str) -> Task:
    """Return the task with another part, from a module that the builder does not import."""
    module = str(task_of(source).schema_builder).split(":")[0]
    return replace(task, **{key: f"{module}:{name}" for key, name in part.items()})


def test_a_task_without_a_summary_is_refused(task_of: Callable[[str], Task]) -> None:
    builder = task_of(GOOD).schema_builder
    for summary in ("", " \n"):
        with pytest.raises(AssertionError, match="summary must be one line"):
            check_task(Task("kit", summary, builder))


def test_a_summary_is_one_line() -> None:
    assert Task("kit", "two\nlines", "kit:Builder").summary == "two lines"
