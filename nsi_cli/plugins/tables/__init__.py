"""Datasets of images and one table: reading the table, inferring a schema, loading its scenes.

A schema builder needs three calls::

    table = read_annotations(raw, None)
    inference = infer(table, ImageFolder(raw))
    scenes = TableScenes(table, inference.schema, ImageFolder(raw))

`scenes.schema` and `scenes.splits` are what a builder returns; `load_table_scene` loads a source.
"""

from nsi_cli.plugins.tables.coco_schema import coco_schema, with_masks
from nsi_cli.plugins.tables.files.annotations import read_annotations, read_table
from nsi_cli.plugins.tables.files.coco import read_coco
from nsi_cli.plugins.tables.image_paths import ImageFolder
from nsi_cli.plugins.tables.inference.infer import Answers, Decision, Inference, infer
from nsi_cli.plugins.tables.scenes.loading import TableScene, load_table_scene
from nsi_cli.plugins.tables.scenes.table_scenes import TableScenes
from nsi_cli.plugins.tables.schema_file import read_table_schema
from nsi_cli.plugins.tables.table import Table
from nsi_cli.plugins.tables.table_schema import TableSchema

__all__ = [
    "Answers",
    "Decision",
    "ImageFolder",
    "Inference",
    "Table",
    "TableScene",
    "TableScenes",
    "TableSchema",
    "coco_schema",
    "infer",
    "load_table_scene",
    "read_annotations",
    "read_coco",
    "read_table",
    "read_table_schema",
    "with_masks",
]
