"""The cache of verdicts on plugins that were probed.

Each plugin has a file in the user's cache folder. A damaged or unwritable cache is never an
error: the plugin is then probed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nsi_cli import __version__
from nsi_cli.plugins.discovery.entry_points import PluginEntryPoint
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import replacing
from nsi_cli.support.reading import read_regular

LARGEST = 10_000
"""Bytes of the largest cache file that is read."""


@dataclass(frozen=True)
class Verdict:
    """The harm that importing a plugin does; empty if it does none."""

    harm: str = ""
    limit: float = 0.0  # the seconds allowed, if the import did not end


class VerdictCache:
    """The cached verdicts on some plugins, valid while their files are unchanged."""

    def __init__(self, plugins: Sequence[PluginEntryPoint]) -> None:
        environment = _environment()
        # Taken before the probe, so that files that change during it are probed again.
        self._fingerprints = {plugin: _fingerprint(plugin, environment) for plugin in plugins}

    def read(self, limit: float) -> dict[PluginEntryPoint, Verdict]:
        """Return the cached verdicts.

        A verdict that an import did not end is ignored if ``limit`` is now longer.
        """
        verdicts = {}
        for plugin, fingerprint in self._fingerprints.items():
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                record = json.loads(read_regular(_path(plugin), LARGEST))
                verdict = Verdict("" + record["harm"], 0.0 + record["limit"])
                outdated = verdict.limit and verdict.limit < limit
                if record["fingerprint"] == fingerprint and not outdated:
                    verdicts[plugin] = verdict
        return verdicts

    def write(self, plugin: PluginEntryPoint, verdict: Verdict) -> None:
        """Store a verdict, if the cache folder can be written."""
        record = {"fingerprint": self._fingerprints[plugin], **asdict(verdict)}
        with contextlib.suppress(OSError, DataError), replacing(_path(plugin)) as path:
            path.write_text(json.dumps(record), encoding="utf-8")


def _path(plugin: PluginEntryPoint) -> Path:
    """Return the cache file of a plugin. Raises `OSError` if the user has no cache folder."""
    from platformdirs import user_cache_path

    folder = user_cache_path("nsi", appauthor=False)
    if not folder.is_absolute():  # the home folder is unknown
        raise NotADirectoryError(str(folder))
    identity = (sys.prefix, plugin.source, plugin.entry.value, str(plugin.location))
    return folder / "plugins" / f"{_digest(identity)[:32]}.json"


def _fingerprint(plugin: PluginEntryPoint, environment: Sequence[object]) -> str:
    """Return a digest of everything that a verdict depends on."""
    files = sorted(_files(plugin.location)) if plugin.location else []
    entry = plugin.entry
    return _digest((plugin.project, plugin.version, entry.name, entry.value, files, environment))


def _environment() -> tuple[object, ...]:
    """Return the versions of Python and nsi, and when a package was last installed or removed."""
    changes = [
        Path(folder).stat().st_mtime_ns
        for folder in sys.path
        if Path(folder).name in ("site-packages", "dist-packages") and Path(folder).is_dir()
    ]
    return sys.version, __version__, changes


def _files(location: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, time and size of each file of a package, except Python's bytecode caches."""
    paths = [location] if location.is_file() else _files_below(location)
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            yield str(path), status.st_mtime_ns, status.st_size


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(parent, name) for name in names)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
