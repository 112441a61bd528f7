"""The options of a download; imports nothing heavy, so that help can show them."""

from __future__ import annotations

from dataclasses import dataclass

from nsi_cli.support.options import option

_GROUP = "Download"


@dataclass(frozen=True)
class DownloadOptions:
    """What the user chooses of a download."""

    yes: bool = option(False, help="Do not ask before downloading.", group=_GROUP)
    mirror: str = option(
        "",
        pattern=(r"(https?://.+)?", "an address that begins with https:// or http://"),
        help="URL of a folder that has the same archives, in place of the dataset's own server.",
        group=_GROUP,
    )
    connections: int = option(
        4, ge=1, le=16, help="Archives that are downloaded at the same time.", group=_GROUP
    )
    timeout: float = option(
        300.0,
        ge=1,
        le=86_400,
        help="Give up when a file averages less than 1 kB/s for this many seconds, retries "
        "included; what arrived is kept.",
        group=_GROUP,
    )
    delete_archives: bool = option(
        False, help="Remove each archive once it is unpacked, before the next.", group=_GROUP
    )
