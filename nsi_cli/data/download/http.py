"""HTTP requests for files: their size, validators, error statuses and retry delays."""

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
"""Seconds without a byte after which a request fails and is retried."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server: its size in bytes, and the headers that identify its version."""

    size: int | None
    etag: str = ""
    modified: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> RemoteFile:
        """Return the file that a response describes; for a partial response, the whole file."""
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
        """The value for ``If-Range``: a strong ETag or else the date; empty if both are missing."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def header(response: httpx.Response, name: str) -> str:
    """Return a header's value, decoded as Latin-1; empty if the header is missing.

    Latin-1 keeps every byte, so the value can be sent back unchanged. `httpx` guesses an encoding.
    """
    values = (value for key, value in response.headers.raw if key.lower() == name.encode())
    return next(values, b"").decode("latin-1")


def make_client(timeout: float) -> httpx.Client:
    """Return a client that follows redirects and accepts only unencoded responses.

    A read fails well before ``timeout``, so that one lost connection does not stall a download.
    """
    return httpx.Client(
        timeout=min(_LONGEST_READ, timeout / 2),
        follow_redirects=True,
        headers={"User-Agent": f"nsi/{__version__}", "Accept-Encoding": "identity"},
    )


def probe(client: httpx.Client, url: str, transfer: Transfer) -> RemoteFile:
    """Request a file's size and validators without downloading it.

    Raises `DataError` if the file does not exist.
    """

    def request() -> RemoteFile:
        response = client.head(url)
        if response.status_code in (403, 405, 501):  # some servers do not implement HEAD
            with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as response:
                check_status(response)
                return RemoteFile.of(response)
        check_status(response)
        return RemoteFile.of(response)

    return transfer.run(request)


def check_status(response: httpx.Response) -> None:
    """Raise `RetryableError` for a temporary error status, `DataError` for a permanent one."""
    status, url = response.status_code, without_password(response.request.url)
    if response.is_success:
        return
    reply = f"{status} {response.reason_phrase}".strip()
    if status in _TEMPORARY:
        raise RetryableError(f"the server returned {reply}", _retry_after(response))
    if status in (404, 410):
        hint = "check the options of the task; a --mirror must have a file of this name"
        raise DataError(f"{url} does not exist ({reply})", hint)
    hint = "check the URL, or choose another server with --mirror"
    raise DataError(f"cannot download {url}: the server returned {reply}", hint)


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds of the header Retry-After; 0 if it is missing or invalid."""
    value = header(response, "retry-after").strip()
    if re.fullmatch(r"[0-9]{1,18}", value):
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
