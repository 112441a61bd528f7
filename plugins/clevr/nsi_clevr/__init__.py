"""CLEVR v1.0, CLEVR-Hans3 and CLEVR-Hans7 as a task of the toolkit."""

from nsi_cli.plugins import Task, hookimpl


@hookimpl
def nsi_tasks() -> Task:
    """Return the task ``clevr``."""
    return Task(
        name="clevr",
        summary="CLEVR and CLEVR-Hans: simple solids on a plane (Johnson et al., 2017)",
        schema_builder="nsi_clevr.builder:ClevrBuilder",
    )
