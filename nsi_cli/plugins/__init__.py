"""The public interface for plugin authors: everything a task plugin imports from the toolkit.

A plugin is a module with one hook and an entry point in the group ``nsi.tasks``::

    from nsi_cli.plugins import Task, hookimpl

    @hookimpl
    def nsi_tasks():
        return Task("mine", "my own scenes", schema_builder="my_package.builder:MyBuilder")
"""

from nsi_cli.plugins.archive import Archive
from nsi_cli.plugins.boxes import Box, box_in_image, boxes_in_mask
from nsi_cli.plugins.contract import (
    API_VERSION,
    Downloadable,
    HasNotes,
    HasSceneLabel,
    Inferrer,
    Preparer,
    SchemaBuilder,
    Source,
    Synthesizer,
    Task,
)
from nsi_cli.plugins.hooks import hookimpl, hookspec
from nsi_cli.plugins.raw_files import read_image, read_json, read_mask, read_mask_values
from nsi_cli.plugins.splitting import split_randomly
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import ConfigError, DataError, NsiError, SchemaError
from nsi_cli.support.options import did_you_mean, option
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import IMAGE_LIMIT, JSON_LIMIT, open_regular, read_regular
from nsi_cli.support.workers import worker_pool

__all__ = [
    "API_VERSION",
    "IMAGE_LIMIT",
    "JSON_LIMIT",
    "Advance",
    "Archive",
    "Box",
    "Categorical",
    "ConfigError",
    "Continuous",
    "DataError",
    "Downloadable",
    "HasNotes",
    "HasSceneLabel",
    "Inferrer",
    "NsiError",
    "Preparer",
    "Scene",
    "Schema",
    "SchemaBuilder",
    "SchemaError",
    "Source",
    "Synthesizer",
    "Task",
    "box_in_image",
    "boxes_in_mask",
    "did_you_mean",
    "hookimpl",
    "hookspec",
    "keep_visible",
    "open_regular",
    "option",
    "read_image",
    "read_json",
    "read_mask",
    "read_mask_values",
    "read_regular",
    "split_randomly",
    "worker_pool",
]
