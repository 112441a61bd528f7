"""What a server says about a file."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from nsi_cli import __version__
from nsi_cli.data.download.transfer import RetryableError, Transfer, without_password
from nsi_cli.support.errors import DataError

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_READ = 30.0
"""Seconds without a byte after which a connection is replaced by a new one."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server: its size in bytes, and the headers that change when it changes."""

    size: int | None
    etag: str = ""
    modified: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> RemoteFile:
        """The file that a response describes; for a partial response, the whole file."""
        size = header(response, "content-length")
        if response.status_code in (206, 416):
            size = header(response, "content-range").rpartition("/")[2]
        return cls(
            int(size) if re.fullmatch(r"[0-9]{1,18}", size) else None,
            header(response, "etag"),
            header(response, "last-modified"),
        )

    @property
    def validator(self) -> str:
        """The value for ``If-Range``: a strong ETag, else the date; empty if there is neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def header(response: httpx.Response, name: str) -> str:
    """A header's bytes as Latin-1, which keeps every byte, so that it can be sent back as it was.

    Empty if the header is missing. `httpx` guesses an encoding instead.
    """
    values = (value for key, value in response.headers.raw if key.lower() == name.encode())
    return next(values, b"").decode("latin-1")


def make_client(timeout: float) -> httpx.Client:
    """A client that follows redirects and asks for files as they are stored.

    A connection that stays silent is replaced before ``timeout`` is over, so that one lost
    connection does not end a download.
    """
    return httpx.Client(
        timeout=min(_LONGEST_READ, timeout / 2),
        follow_redirects=True,
        headers={"User-Agent": f"nsi/{__version__}", "Accept-Encoding": "identity"},
    )


def probe(client: httpx.Client, url: str, transfer: Transfer) -> RemoteFile:
    """Ask for a file's size and validators without fetching it.

    Raises `DataError` if the file does not exist.
    """

    def ask() -> RemoteFile:
        response = client.head(url)
        if response.status_code in (403, 405, 501):  # some servers do not implement HEAD
            with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as response:
                check_status(response)
                return RemoteFile.of(response)
        check_status(response)
        return RemoteFile.of(response)

    return transfer.run(ask)


def check_status(response: httpx.Response) -> None:
    """Raise `RetryableError` for a temporary refusal, `DataError` for a permanent one."""
    status, url = response.status_code, without_password(response.request.url)
    if response.is_success:
        return
    answer = f"{status} {response.reason_phrase}".strip()
    if status in _TEMPORARY:
        raise RetryableError(f"the server answers {answer}", _retry_after(response))
    if status in (404, 410):
        hint = "check --release and --variant; a --mirror must have the file under this name"
        raise DataError(f"{url} does not exist ({answer})", hint)
    hint = "check the address; --mirror names another server"
    raise DataError(f"cannot download {url}: the server answers {answer}", hint)


def _retry_after(response: httpx.Response) -> float:
    """The seconds that the server asks to wait; 0 if it does not ask."""
    value = header(response, "retry-after").strip()
    if re.fullmatch(r"[0-9]{1,18}", value):
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
