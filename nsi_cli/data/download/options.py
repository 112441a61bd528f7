"""The options of a download; imports nothing heavy, so that --help stays fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from nsi_cli.support.options import option

_GROUP = "Download"


@dataclass(frozen=True)
class DownloadOptions:
    """The options of a download."""

    yes: bool = option(False, help="Download without asking for confirmation.", group=_GROUP)
    mirror: str = option(
        "",
        pattern=(r"(https?://.+)?", "an address that begins with https:// or http://"),
        help="URL of a folder with the same archives, used instead of the dataset's own server.",
        group=_GROUP,
    )
    connections: Annotated[int, Interval(ge=1, le=16)] = option(
        4, help="Number of archives that are downloaded at the same time.", group=_GROUP
    )
    timeout: Annotated[float, Interval(ge=1, le=86_400)] = option(
        300.0,
        help="Stop when a file averages less than 1 kB/s for this many seconds, retries included. "
        "The downloaded data is kept.",
        group=_GROUP,
    )
    delete_archives: bool = option(
        False,
        help="Remove each archive after it is unpacked, before unpacking the next.",
        group=_GROUP,
    )
