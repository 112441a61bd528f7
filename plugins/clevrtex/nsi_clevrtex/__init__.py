"""CLEVRTex as a task of the toolkit: the built-in plugin, and an example of a plugin.

The hook below is all that the toolkit needs. The parts are named, not imported, so that
``nsi tasks`` lists this task without importing numpy or torch.
"""

from nsi_cli.plugins import Task, hookimpl


@hookimpl
def nsi_tasks() -> Task:
    """Return the task ``clevrtex``."""
    return Task(
        name="clevrtex",
        summary="CLEVRTex: textured objects on textured ground (Karazija et al., 2021)",
        schema_builder="nsi_clevrtex.builder:ClevrtexBuilder",
        # The next two are the defaults; they are listed as an example.
        schema_encoder="nsi_cli.models.schema_encoder:PropertySchemaEncoder",
        dataloader="nsi_cli.data.loading.loader:make_dataloader",
    )
