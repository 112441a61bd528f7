"""What a server says of a file, and what to make of its answers."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from nsi_cli import __version__
from nsi_cli.errors import DataError

T = TypeVar("T")

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_HINT = "what has come is kept: run the command again, or name another --mirror"


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, in seconds, and how often to ask it again."""

    timeout: float = 30.0
    tries: int = 8
    """Tries in a row that bring nothing new before it is given up."""
    restarts: int = 5
    """Times that a file is begun anew before it is given up."""
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_asked: float = 600.0
    """The longest that a server may ask to wait (Retry-After)."""

    def wait(self, tries: int) -> float:
        """How long to wait after so many tries: twice as long each time, and never in step."""
        longest: float = min(self.first_wait * 2.0 ** (tries - 1), self.longest_wait)
        return longest * random.uniform(0.5, 1.0)


class AgainError(Exception):
    """What may be otherwise next time; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class StoppedError(Exception):
    """The download was asked to stop."""


@dataclass(frozen=True)
class Remote:
    """A file as a server tells of it: its size in bytes, and what changes when it changes."""

    size: int | None
    etag: str = ""
    modified: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> Remote:
        """What an answer tells; of a part, the size of the whole."""
        size: str | None = response.headers.get("content-length")
        if response.status_code in (206, 416):
            size = response.headers.get("content-range", "").rpartition("/")[2]
        return cls(
            int(size) if size and size.isdecimal() else None,
            response.headers.get("etag", ""),
            response.headers.get("last-modified", ""),
        )

    @property
    def validator(self) -> str:
        """What ``If-Range`` takes: a strong ETag, else the date; empty where there is neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def is_still(self, other: Remote) -> bool:
        """Whether nothing says that it is another file than ``other`` was."""
        return self.size == other.size and self.validator == other.validator


def make_client(patience: Patience) -> httpx.Client:
    """A client that follows redirections and takes bytes as they lie on the server."""
    return httpx.Client(
        timeout=patience.timeout,
        follow_redirects=True,
        headers={"User-Agent": f"nsi/{__version__}", "Accept-Encoding": "identity"},
    )


def look_at(
    client: httpx.Client,
    url: str,
    patience: Patience,
    note: Callable[[str], None] = lambda text: None,
) -> Remote:
    """Ask what a file is, without fetching it. Raises `DataError` where there is none."""

    def ask() -> Remote:
        response = client.head(url)
        if response.status_code in (403, 405, 501):  # there are servers that know no HEAD
            with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as response:
                check_status(response)
                return Remote.of(response)
        check_status(response)
        return Remote.of(response)

    return persistently(ask, url, patience, threading.Event(), note=note)


def check_status(response: httpx.Response) -> None:
    """Raise `AgainError` for a refusal that may pass, `DataError` for one that will not."""
    status, url = response.status_code, shown(response.request.url)
    if response.is_success:
        return
    told = f"{status} {response.reason_phrase}".strip()
    if status in _PASSING:
        raise AgainError(f"the server answers {told}", _asked_wait(response))
    if status in (404, 410):
        hint = "is it another --release or --variant? A --mirror must have it under this name"
        raise DataError(f"there is no {url} ({told})", hint)
    hint = "check the address; --mirror names another one"
    raise DataError(f"{url} cannot be fetched: the server answers {told}", hint)


def _asked_wait(response: httpx.Response) -> float | None:
    asked = response.headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _told(error: httpx.TransportError, patience: Patience) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"nothing came for {patience.timeout:.0f} s"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "the connection was dropped"
    return str(error) or type(error).__name__


def shown(url: object) -> str:
    """An address without the name and password that may be in it."""
    return re.sub(r"(?<=//)[^/@]*@", "", str(url))


def persistently(
    attempt: Callable[[], T],
    url: str,
    patience: Patience,
    stop: threading.Event,
    reached: Callable[[], int] = lambda: 0,
    note: Callable[[str], None] = lambda text: None,
) -> T:
    """Call ``attempt`` until it succeeds, with growing waits; ``reached`` tells how far it came.

    Only tries in a row that come no further count, and those that fall back. Raises `DataError`
    when patience is at its end, and `StoppedError` once ``stop`` is set.
    """
    tries, falls, last = 0, 0, reached()
    while True:
        try:
            return attempt()
        except AgainError as error:
            again = error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            raise DataError(f"{shown(url)} cannot be fetched: {error}", "check --mirror") from error
        except httpx.TransportError as error:
            again = AgainError(_told(error, patience))
        now = reached()
        tries, falls, last = 1 if now > last else tries + 1, falls + (now < last), now
        wait = max(patience.wait(tries), again.wait or 0.0)
        if wait > patience.longest_asked:
            raise DataError(f"{shown(url)}: {again}, and asks to wait {wait:.0f} s", _HINT)
        if tries >= patience.tries:
            raise DataError(f"{shown(url)}: {again} ({tries} times in a row)", _HINT)
        if falls >= patience.restarts:
            raise DataError(f"{shown(url)}: {again} (begun anew {falls} times)", _HINT)
        note(f"{url.rpartition('/')[2]}: {again}; again in {wait:.1f} s")
        if stop.wait(wait):
            raise StoppedError
