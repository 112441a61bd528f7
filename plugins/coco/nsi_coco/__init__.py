"""COCO instances as a task of the toolkit: COCO itself, and exports of annotation tools."""

from nsi_cli.plugins import Task, hookimpl


@hookimpl
def nsi_tasks() -> Task:
    """Return the task ``coco``."""
    return Task(
        name="coco",
        summary="COCO instances: category and box of each object (Lin et al., 2014), or an export",
        schema_builder="nsi_coco.builder:CocoBuilder",
    )
