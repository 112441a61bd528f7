"""Every shell and Python block of the README and the documentation runs, or says why not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "commands.md"),
)

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *sorted((ROOT / "plugins").iterdir())))),
}

_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block that call ``nsi``, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [part.strip() for line in lines for part in line.split("&&")]
        return [re.sub(r"\s+#.*", "", part) for part in parts if part.startswith("nsi ")]


@cache
def blocks_of(page: Path) -> tuple[Block, ...]:
    """All fenced blocks of a page; ``<!-- not run: REASON -->`` above one says why."""
    found, reason = [], ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map is not None:
            found.append(Block(page, token.map[0] + 1, token.info, token.content, reason))
            reason = ""
        elif token.type == "html_block":
            match = _NOT_RUN.search(token.content)
            reason = match[1] if match else ""
        elif token.nesting == 0 and token.level == 0:
            reason = ""
    return tuple(found)


LANGUAGES = {"sh", "python", "toml", "yaml", "text", "json", "{image} _static/flow.svg",
             "{toctree}", "{eval-rst}"}  # fmt: skip

ALL = [block for page in PAGES for block in blocks_of(page)]


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_names_its_language(block: Block) -> None:
    assert block.language in LANGUAGES


@cache
def help_of(words: tuple[str, ...]) -> str:
    """The help text of a command, in one line a flag."""
    done = subprocess.run(
        [sys.executable, "-m", "nsi_cli", *words, "--help"],
        env={**ENVIRONMENT, "COLUMNS": "250", "NO_COLOR": "1"}, capture_output=True, text=True,
        check=True, encoding="utf-8",
    )  # fmt: skip
    return done.stdout


SHELL = [(block, command) for block in ALL if block.language == "sh" for command in block.commands]


@pytest.mark.slow
@pytest.mark.parametrize(("block", "command"), SHELL, ids=str)
def test_every_command_and_flag_exists(block: Block, command: str) -> None:
    words = shlex.split(command)[1:]
    while words and words[0].startswith("-"):  # options of nsi itself
        words = words[2:] if words[0] == "--plugin-dir" else words[1:]
    asked = words[:1]
    if words[0] == "build-data":
        if not (ROOT / "plugins" / words[1]).is_dir():  # a plugin of the page's own
            return
        asked = words[:2]
    text = help_of(tuple(asked))
    for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text), flag


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "python"], ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


RUN = {
    page: [block for block in blocks_of(page) if block.language in {"sh", "python"}
           and not block.not_run]
    for page in PAGES
    if page.name != "README.md"  # tests/test_api.py runs its Python, test_end_to_end.py its demo
}  # fmt: skip


def draw_birds(folder: Path) -> None:
    """The page's example: images with one or two rectangles, and a table of them."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = ["image,species,beak_mm,x,y,w,h,split"]
    for number in range(40):
        name = f"images/{number:04}.jpg"
        split = "test" if number % 4 == 0 else "val" if number % 4 == 1 else "train"
        image = Image.new("RGB", (400, 300), (90, 120, 90))
        for left in (20, 210)[: 1 + number % 2]:
            kind, width, top = int(rng.integers(2)), int(rng.integers(60, 160)), 40 + number
            image.paste([(180, 60, 40), (120, 90, 60)][kind], (left, top, left + width, top + 90))
            beak = 8 + kind * 3 + width / 100
            word = ["robin", "wren"][kind]
            rows.append(f"{name},{word},{beak:.1f},{left},{top},{width},90,{split}")
        image.save(folder / name)
    (folder / "objects.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page", [page for page, blocks in RUN.items() if blocks], ids=lambda page: page.name
)
def test_the_blocks_of_a_page_run_in_one_folder(page: Path, tmp_path: Path) -> None:
    """Shell blocks in order, then the Python blocks as one script."""
    (tmp_path / "nsi").write_text(f'#!/bin/sh\nexec {sys.executable} -m nsi_cli "$@"\n')
    (tmp_path / "nsi").chmod(0o755)
    (tmp_path / "work").mkdir()
    if page.name == "own-data.md":
        draw_birds(tmp_path / "work" / "birds")
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    python = [block.text for block in RUN[page] if block.language == "python"]
    commands = [
        *(["bash", "-ec", block.text] for block in RUN[page] if block.language == "sh"),
        *([[sys.executable, "-c", "\n".join(python)]] if python else []),
    ]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path / "work", env={**ENVIRONMENT, "PATH": path},
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, f"{command[-1]}\n{done.stderr[-2000:]}"
