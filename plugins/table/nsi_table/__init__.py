"""Any folder of images with a table of objects, as a task of the toolkit."""

from nsi_cli.plugins import Task, hookimpl


@hookimpl
def nsi_tasks() -> Task:
    """Return the task ``table``."""
    return Task(
        name="table",
        summary="your own images with a table of objects (CSV, JSON Lines, Parquet)",
        schema_builder="nsi_table.builder:TableBuilder",
    )
