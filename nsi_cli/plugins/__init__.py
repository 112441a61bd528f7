"""The public interface for plugin authors: everything a task plugin imports from the toolkit.

A plugin is a module with one hook and an entry point in the group ``nsi.tasks``::

    from nsi_cli.plugins import Task, hookimpl

    @hookimpl
    def nsi_tasks():
        return Task("mine", "my own scenes", schema_builder="my_package.builder:MyBuilder")
"""

from nsi_cli.plugins.archive import Archive
from nsi_cli.plugins.contract import (
    API_VERSION,
    Downloadable,
    HasNotes,
    HasSceneLabel,
    Preparer,
    SchemaBuilder,
    Source,
    Synthesizer,
    Task,
)
from nsi_cli.plugins.hooks import hookimpl, hookspec
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import DataError, NsiError, SchemaError
from nsi_cli.support.options import did_you_mean, option
from nsi_cli.support.processes import worker_pool
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import IMAGE_LIMIT, JSON_LIMIT, open_regular, read_regular

__all__ = [
    "API_VERSION",
    "IMAGE_LIMIT",
    "JSON_LIMIT",
    "Advance",
    "Archive",
    "Categorical",
    "Continuous",
    "DataError",
    "Downloadable",
    "HasNotes",
    "HasSceneLabel",
    "NsiError",
    "Preparer",
    "Scene",
    "Schema",
    "SchemaBuilder",
    "SchemaError",
    "Source",
    "Synthesizer",
    "Task",
    "did_you_mean",
    "hookimpl",
    "hookspec",
    "keep_visible",
    "open_regular",
    "option",
    "read_regular",
    "worker_pool",
]
