"""The toolkit from Python: build a store, train, evaluate, interpret. Every command calls this.

Functions take plain arguments and return what they made. A run is given by its path, or as
`load_run` opened it. Functions print nothing; ``progress`` receives stages and notes. What a user
can correct is raised as a child of `NsiError`, with a hint. Heavy libraries are imported inside the
functions, so that ``import nsi_cli.api`` takes no time.
"""

from nsi_cli.api.evaluation import Evaluation, compare, evaluate, figures
from nsi_cli.api.interpretation import Answers, ask, describe, interpret
from nsi_cli.api.result_tables import (
    ResultTable,
    answer_table,
    comparison_table,
    control_tables,
    description_table,
    result_table,
)
from nsi_cli.api.runs import export, load_run
from nsi_cli.api.stores import (
    StoreCheck,
    build_store,
    check_store,
    infer_schema,
    store_summary,
)
from nsi_cli.api.tasks import check_task, find_tasks, new_task
from nsi_cli.api.training import (
    as_yaml,
    dry_run,
    preset_names,
    read_options,
    resume,
    train,
    train_config,
)
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.evaluation import KMEANS_SCENES, METRIC_NAMES
from nsi_cli.training.config import TrainConfig

__all__ = [
    "KMEANS_SCENES",
    "METRIC_NAMES",
    "Answers",
    "BuildOptions",
    "DownloadOptions",
    "Evaluation",
    "ResultTable",
    "StoreCheck",
    "TrainConfig",
    "answer_table",
    "as_yaml",
    "ask",
    "build_store",
    "check_store",
    "check_task",
    "compare",
    "comparison_table",
    "control_tables",
    "describe",
    "description_table",
    "dry_run",
    "evaluate",
    "export",
    "figures",
    "find_tasks",
    "infer_schema",
    "interpret",
    "load_run",
    "new_task",
    "preset_names",
    "read_options",
    "result_table",
    "resume",
    "store_summary",
    "train",
    "train_config",
]
