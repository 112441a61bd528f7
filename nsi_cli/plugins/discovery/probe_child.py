"""The child process of a probe: loads one plugin and reports the harm that it did."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from nsi_cli.plugins.discovery.entry_points import PluginEntryPoint
from nsi_cli.plugins.discovery.loading import load_tasks
from nsi_cli.support.errors import PluginError
from nsi_cli.support.streams import ClosedDescriptorError

NO_REPORT = 86
"""The exit code if the report cannot be written, for example on a full disk."""


def main(request: Mapping[str, Any]) -> None:
    """Load the plugin of a request, and write the harm that it did to the report file."""
    signal.alarm(math.ceil(request["limit"]) + 5)  # ends this process even if its parent was killed
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the parent blocks signals at the start
    root, location = (Path(request[key]) if request[key] else None for key in ("root", "location"))
    entry = EntryPoint(*request["entry"])
    harm = _load(PluginEntryPoint(entry, "", "", request["rank"], location, root))
    try:
        Path(request["report"]).write_text(harm, encoding="utf-8")
    except OSError:
        sys.exit(NO_REPORT)


def _load(plugin: PluginEntryPoint) -> str:
    """Return the harm that loading the plugin did; empty if it did none."""
    try:
        load_tasks(plugin)
    except ClosedDescriptorError as error:
        return error.message
    except PluginError:
        pass  # an ordinary fault
    except KeyboardInterrupt:
        return "its import raised KeyboardInterrupt"
    except BaseException as error:
        return f"its import raised {type(error).__name__}"
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    if any(stream is None or stream.closed for stream in streams):
        return "its import closed a standard stream"
    return ""
