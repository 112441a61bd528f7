"""Discovery: every plugin there is, each loaded on its own, and who keeps which name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nsi_cli.errors import PluginError
from nsi_cli.plugins.candidates import (
    Candidate,
    TakenError,
    folder_candidates,
    installed_candidates,
    with_shared_packages_refused,
)
from nsi_cli.plugins.catalogue import Catalogue, DisabledError, Found, Outcome
from nsi_cli.plugins.loading import load_tasks

__all__ = [
    "Catalogue",
    "Found",
    "disabled_from_environment",
    "discover",
    "plugin_dirs_from_environment",
]


def discover(plugin_dirs: Sequence[Path] = (), disabled: Collection[str] = ()) -> Catalogue:
    """Find the plugins of installed distributions and of ``plugin_dirs``, and load each.

    ``disabled`` names tasks, entry points or projects to leave alone. A plugin that cannot be
    loaded becomes a row with the reason and harms no other. Of two that bring one task, the
    toolkit's own keeps the name, then an installed one; two of a kind both lose it. Nothing that
    a task refers to lazily is imported. Raises `PluginError` for a plugin folder that is missing.
    """
    off = set(disabled)
    candidates = _distinct([*installed_candidates(), *folder_candidates(plugin_dirs)])
    candidates = [_turned_off(item) if item.names & off else item for item in candidates]
    candidates = with_shared_packages_refused(candidates)
    outcomes = [outcome for item in candidates for outcome in _load(item, off)]
    return Catalogue(sorted(_with_one_task_a_name(outcomes), key=lambda outcome: outcome.order))


def plugin_dirs_from_environment() -> list[Path]:
    """The plugin folders that ``NSI_PLUGIN_PATH`` names, separated as in ``PATH``."""
    folders = os.environ.get("NSI_PLUGIN_PATH", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in folders if folder.strip()]


def disabled_from_environment() -> set[str]:
    """The tasks, entry points or projects that ``NSI_DISABLE`` names, separated by commas."""
    names = os.environ.get("NSI_DISABLE", "").split(",")
    return {name.strip() for name in names if name.strip()}


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each code once, though a project may be installed and lie in a plugin folder as well."""
    seen: dict[object, Candidate] = {}
    for candidate in candidates:
        known = candidate.fault is None and candidate.location is not None
        code = (candidate.entry.value, candidate.location) if known else candidate
        seen.setdefault(code, candidate)
    return list(seen.values())


def _turned_off(candidate: Candidate) -> Candidate:
    """The candidate at fault, so that nothing of it is imported."""
    fault = DisabledError("turned off by its name", "take the name off NSI_DISABLE")
    return replace(candidate, root=None, fault=fault)


def _load(candidate: Candidate, off: Collection[str]) -> Iterator[Outcome]:
    try:
        tasks = load_tasks(candidate)
    except PluginError as fault:
        yield Outcome(candidate, fault=fault)
        return
    for task in tasks:
        yield Outcome(candidate, task, _turned_off(candidate).fault if task.name in off else None)


def _with_one_task_a_name(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, those at fault whose task's name somebody else keeps, or wants as well."""
    claims: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.fault is None:
            claims.setdefault(outcome.name, []).append(outcome)
    return [
        outcome if outcome.fault else _settled(outcome, claims[outcome.name])
        for outcome in outcomes
    ]


def _settled(claim: Outcome, claims: Sequence[Outcome]) -> Outcome:
    """The claim to a name; it holds where it is alone in the foremost rank, else it is at fault."""
    first = min(rival.candidate.rank for rival in claims)
    foremost = [rival.candidate for rival in claims if rival.candidate.rank == first]
    if foremost == [claim.candidate]:
        return claim
    told = " and ".join(rival.candidate.told for rival in claims)
    kept = f"{foremost[0].source} keeps the name" if len(foremost) == 1 else "none gets the name"
    fault = TakenError(
        f"'{claim.name}' is brought by {told}; {kept}",
        "remove one, turn one off by its project's name in NSI_DISABLE, or rename its task",
    )
    return replace(claim, fault=fault)
