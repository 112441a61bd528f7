"""Sphinx configuration of the documentation site: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(ROOT / "plugins" / "clevrtex")]

from nsi_cli import __version__  # noqa: E402
from nsi_cli.cli.app import COMMANDS  # noqa: E402

project = "nsi"
author = "the nsi maintainers"
html_show_copyright = False
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "nsi"
html_static_path = ["_static"]
html_show_sourcelink = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# A single backquote in a docstring marks a name; it is a link where the name is documented.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}


def write_commands(app: Any) -> None:
    """Write the command reference from the help texts of the commands."""
    parts = [
        "# Command reference\n\n"
        "This page has the help text of every command. `nsi build-data TASK --help` also lists\n"
        "the options of that task's schema builder.\n"
    ]
    for command in ("", *COMMANDS, "build-data clevrtex"):
        title = f"nsi {command}".strip()
        parts.append(f"## {title}\n\n```text\n{help_text(command.split())}\n```\n")
    page = DOCS / "commands.md"
    text = "\n".join(parts)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def help_text(words: list[str]) -> str:
    """The help text of a command, 96 columns wide, without colours."""
    environment = {
        **os.environ,
        "COLUMNS": "96",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONPATH": os.pathsep.join(sys.path[:2]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nsi_cli", *words, "--help"],
        env=environment, capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def setup(app: Any) -> None:
    """Generate the command reference before Sphinx reads the pages."""
    app.connect("builder-inited", write_commands)
