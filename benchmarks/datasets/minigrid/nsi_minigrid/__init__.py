"""The task minigrid for the nsi toolkit: MiniGrid frames (Chevalier-Boisvert et al. 2023)."""

from __future__ import annotations

from nsi_cli.plugins import Task, hookimpl


@hookimpl
def nsi_tasks() -> Task:
    """Return the task."""
    return Task(
        "minigrid",
        "MiniGrid frames: type, color and cell of each object",
        schema_builder="nsi_minigrid.builder:MinigridBuilder",
    )
