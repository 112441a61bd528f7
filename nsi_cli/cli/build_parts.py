"""``--shard`` and ``--merge``: a store built in parts, and the parts joined."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nsi_cli.cli.build_steps import BuildRequest, check_place
from nsi_cli.cli.build_summary import write_summary
from nsi_cli.cli.state import State
from nsi_cli.errors import ConfigError


def parse_shard(text: str) -> tuple[int, int]:
    """``2/8`` as (2, 8): part 2 of 8. Raises `ConfigError` for anything else."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(
            f"--shard {text!r} is no part of a whole", "part 2 of 8 is written --shard 2/8"
        )
    return int(match[1]), int(match[2])


def run_merge(state: State, out: Path, *, keep: bool, force: bool) -> dict[str, Any]:
    """Join the shards beside ``out`` into a store there, and return its ``build.json``."""
    from nsi_cli.data.build_merge import merge_shards
    from nsi_cli.data.store import open_store

    check_place(out, force=force)
    merge_shards(
        out,
        keep=keep,
        progress=state.progress,
        meanwhile=lambda store: write_summary(store, state.progress),
    )
    return open_store(out).build


def tell_next_of_shard(state: State, request: BuildRequest) -> None:
    """After a shard, say which others are still to be built, or how to join them all."""
    if request.shard is None:
        return
    from nsi_cli.data.build_merge import missing_shards

    missing = missing_shards(request.out, request.shard[1])
    if missing:
        more = ", …" * (len(missing) > 5)
        state.progress.note(f"still to build: {', '.join(map(str, missing[:5]))}{more}")
    else:
        state.progress.note(
            "all shards are built; join them with: "
            + state.command("build-data", "--merge", request.out)
        )
