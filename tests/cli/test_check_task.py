"""``nsi tasks --check NAME`` names the mistake in a plugin, and the line to correct."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nsi_cli.plugins.scaffold import render_plugin

Nsi = Callable[..., Any]
OneLine = Callable[..., None]

BUILDER, DRAWING = "nsi_shapes/builder.py", "nsi_shapes/drawing.py"

MISTAKES: dict[str, tuple[str, str, str, str, str]] = {
    "the builder can be changed": (
        BUILDER, "@dataclass(frozen=True)", "@dataclass",
        "ShapesBuilder must be a class under @dataclass(frozen=True)", "ShapesBuilder",
    ),
    "an option that is not declared": (
        BUILDER, "    raw: Path\n", "    raw: Path\n    size: int = 3\n",
        "declare the fields ['size'] with nsi_cli.plugins.option(…)", "ShapesBuilder",
    ),
    "random scenes without the seed": (
        DRAWING, "default_rng([seed, index])", "default_rng()",
        "with the same seed, synthesize wrote different bytes", "ShapesBuilder.synthesize",
    ),
    "values in the order of a set": (
        BUILDER, "Categorical(\"color\", COLORS)",
        "Categorical(\"color\", tuple({*COLORS, *map(str, range(50))}))",
        "schema() returns a different schema in another process", "ShapesBuilder.schema",
    ),
    "files in the order of the disk": (
        BUILDER, "sorted((self.raw / \"annotations\").glob(\"*.json\"))",
        "sorted((self.raw / \"annotations\").glob(\"*.json\"), key=lambda _: np.random.random())",
        "splits() returns different splits each time; sort the files", "ShapesBuilder.splits",
    ),
    "a scene in two splits": (
        BUILDER, "split_randomly(sources, val=half, test=half)",
        "{\"train\": sources[:-2], \"val\": sources[-2:], \"test\": sources[-2:]}",
        "splits 'val' and 'test' have the same source", "ShapesBuilder.splits",
    ),
    "augmentation in load": (
        BUILDER, "SCHEMA.encode(read_json(source)[\"objects\"])",
        "SCHEMA.encode(read_json(source)[\"objects\"])\n"
        "            primitives[0, -1] = np.random.random()",
        "load() must be pure", "ShapesBuilder.load",
    ),
    "a value that the schema lacks": (
        BUILDER, "Categorical(\"shape\", SHAPES)", "Categorical(\"shape\", (\"disc\", \"square\"))",
        "unknown shape 'rectangle'", "ShapesBuilder.load",
    ),
    "ids that repeat": (
        BUILDER, "keep_visible(name,", "keep_visible(\"scene\",",
        "scenes share an id", "ShapesBuilder.load",
    ),
    "a mask of colours": (
        BUILDER, "read_mask(self.raw / \"masks\" / f\"{name}.png\")",
        "np.asarray(read_image(self.raw / \"images\" / f\"{name}.png\").convert(\"RGB\"))",
        "a mask must be uint8 of the image's height and width", "ShapesBuilder.load",
    ),
    "an image that is not RGB": (
        BUILDER, "read_image(self.raw / \"images\" / f\"{name}.png\")",
        "np.asarray(read_image(self.raw / \"images\" / f\"{name}.png\").convert(\"L\"))",
        "an image must be uint8 (H, W, 3), not uint8 (64, 64)", "ShapesBuilder.load",
    ),
    "primitives that were not encoded": (
        BUILDER, "SCHEMA.encode(read_json(source)[\"objects\"])",
        "SCHEMA.encode(read_json(source)[\"objects\"]) + np.float32(0.25)",
        "decoding its primitives failed", "ShapesBuilder.load",
    ),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The plugin that ``nsi new-task shapes`` makes; its import is undone afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    render_plugin("shapes", tmp_path)
    yield tmp_path / "shapes"
    for name in [name for name in sys.modules if name.split(".")[0] == "nsi_shapes"]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(
    mistake: str, plugin: Path, nsi: Nsi, one_line: OneLine
) -> None:
    file, right, wrong, named, function = MISTAKES[mistake]
    source = (plugin / file).read_text()
    assert source.count(right) == 1
    header = "from __future__ import annotations\n"
    with_numpy = source.replace(header, header + "import numpy as np\n" * ("np." in wrong))
    (plugin / file).write_text(with_numpy.replace(right, wrong))
    result = nsi("--plugin-dir", plugin, "tasks", "--check", "shapes")
    one_line(result, 3, "task 'shapes' fails the check: ", named)
    place = result.stderr.splitlines()[1]
    assert f"in {plugin}/nsi_shapes/" in place
    assert place.endswith(f", {function}")


@pytest.mark.slow
def test_a_plugin_without_a_mistake_passes(
    plugin: Path, nsi: Nsi, run_nsi: Nsi, tmp_path: Path
) -> None:
    result = run_nsi("--plugin-dir", plugin, "tasks", "--check", "shapes", "--json")
    assert result.code == 0, result
    assert json.loads(result.stdout) == {"task": "shapes", "ok": True}
    result = nsi("--plugin-dir", plugin, "tasks", "--check", "shapes")
    assert result.stdout == "shapes: meets the contract\n"
    assert not list(tmp_path.glob("*raw*"))


def test_a_task_without_synthetic_scenes_needs_a_folder(nsi: Nsi, one_line: OneLine) -> None:
    one_line(nsi("tasks", "--check", "clevr"), 3, "nsi tasks --check NAME --raw DIR")


def test_what_cannot_be_checked(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    one_line(nsi("tasks", "--check", "clevrtx"), 3, "unknown task 'clevrtx'")
    one_line(nsi("tasks", "--raw", tmp_path), 2, "--raw has no effect without --check")
    result = nsi("tasks", "--check", "clevr", "--raw", tmp_path)
    one_line(result, 3, "splits() failed: no scenes of CLEVR v1.0 under", "release.py, line")
