"""Neural Slot Interpreters: ground object semantics in the slots of an image encoder."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `nsi_cli.api.load_run` on its first use: plugins import this package too."""
    if name == "load_run":
        return import_module("nsi_cli.api").load_run
    raise AttributeError(f"module 'nsi_cli' has no attribute '{name}'")
