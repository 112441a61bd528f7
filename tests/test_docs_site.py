"""The documentation site builds without a warning, and names real commands and messages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "cache",
         DOCS, tmp_path / "site"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "site" / "commands.html").read_text(encoding="utf-8")
    for option in ("--label-fraction", "--query", "--synthetic", "--controls"):
        assert option in commands
    api = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    for name in ("build_store", "check_task", "hookimpl", "LoaderOptions"):
        assert name in api


def test_every_page_of_the_site_is_in_its_contents() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index", "commands"}
    listed = set((DOCS / "index.md").read_text(encoding="utf-8").split())
    assert pages <= listed


def test_the_readme_links_to_files_that_exist() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{page.name}: {target}"


def test_troubleshooting_quotes_messages_that_the_code_has() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^`(.+)`$", page, re.MULTILINE)
    assert len(messages) > 10
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "nsi_cli").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", code)  # a message can be written on several lines
    assert [message for message in messages if message not in joined] == []
