"""Neural Slot Interpreters: ground object semantics in the slots of an image encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsi_cli.api import load_run as load_run

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `load_run` where it is first used: plugins import this package too."""
    if name == "load_run":
        from nsi_cli.api import load_run

        return load_run
    raise AttributeError(f"module 'nsi_cli' has no attribute '{name}'")
