"""Raw data for a build: downloaded, or rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.plugins.contract import Downloadable, Synthesizer
from nsi_cli.support.errors import ConfigError, Interrupted
from nsi_cli.support.files import disk_errors_explained
from nsi_cli.support.progress import Progress

if TYPE_CHECKING:
    from nsi_cli.data.download.plan import DownloadPlan


def download_raw(
    builder: Any,
    task: str,
    raw: Path,
    options: DownloadOptions,
    confirm: Callable[[DownloadPlan], object],
    progress: Progress,
) -> dict[str, str]:
    """Download the raw data of a task; return the SHA-256 of each archive by name.

    ``confirm`` is called with the plan before anything is fetched, and may raise to stop. Raises
    `ConfigError` if the builder names no archives, `DataError` if the download fails.
    """
    from nsi_cli.data.download.download import download
    from nsi_cli.data.download.plan import make_plan

    if not isinstance(builder, Downloadable):
        raise ConfigError(f"task '{task}' has nothing to download", "give it raw data with --raw")
    try:
        plan = make_plan(builder.archives(), raw, options, progress)
        confirm(plan)
        return download(plan, progress)
    except KeyboardInterrupt:
        error = Interrupted("the download was interrupted; what arrived is kept")
        error.resumable = True
        raise error from None


def synthesize_raw(
    builder: Any, task: str, raw: Path, count: int, seed: int, workers: int, progress: Progress
) -> None:
    """Render ``count`` synthetic raw scenes. Raises `ConfigError` if the builder cannot."""
    if not isinstance(builder, Synthesizer):
        raise ConfigError(
            f"task '{task}' cannot make synthetic scenes", "give it raw data with --raw"
        )
    with disk_errors_explained(raw, "--raw"), progress.stage("render", count) as advance:
        builder.synthesize(count, seed=seed, workers=workers, advance=advance)
