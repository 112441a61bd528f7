"""Whatever a server does, a download returns its file or fails with a one-line message."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nsi_cli.data.download.fetch import Fetch, part_of
from nsi_cli.data.download.http import RemoteFile, make_client, probe
from nsi_cli.data.download.manifest import DownloadManifest
from nsi_cli.data.download.transfer import StalledError, StoppedError, Transfer, run_transfers
from nsi_cli.support.errors import DataError

DATA = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(150_000)
TIMEOUT = 3.0
"""Seconds; far more than these downloads need, even on a busy machine."""
SHORT = 0.4
"""Seconds; for downloads that should stall."""

Serving = Callable[..., Any]


class Fetched:
    """Downloads ``a.tar`` into a folder, as often as it is called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "a.tar"
        self.notes: list[str] = []
        self.progress = 0
        self.stop_at: int | None = None

    def __call__(
        self, server: Any, timeout: float = TIMEOUT, remote: RemoteFile | None = None
    ) -> bytes:
        url = f"{server.url}/a.tar"
        with make_client(timeout) as client:

            def fetch(transfer: Transfer) -> None:
                current = remote or probe(client, url, transfer)
                manifest = DownloadManifest(self.folder)
                Fetch(
                    url, self.path, current, manifest, client, transfer, self.advance,
                    self.notes.append,
                ).run()  # fmt: skip

            run_transfers([(url, fetch)], timeout=timeout, connections=1, note=self.notes.append)
        return self.path.read_bytes()

    def advance(self, count: int) -> None:
        self.progress += count
        if self.stop_at is not None and self.progress >= self.stop_at:
            raise StoppedError

    def stopped_at(self, server: Any, position: int) -> None:
        """Download, and stop after ``position`` bytes."""
        self.stop_at = position
        with pytest.raises(StoppedError):
            self(server)
        self.stop_at, self.progress = None, part_of(self.path).stat().st_size
        assert position <= self.progress < len(DATA)

    @property
    def entry(self) -> dict[str, Any]:
        entries: dict[str, dict[str, Any]] = json.loads((self.folder / "archives.json").read_text())
        return entries["a.tar"]


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    return Fetched(tmp_path)


@pytest.fixture
def server(serving: Serving) -> Any:
    return serving({"a.tar": DATA})


def test_a_downloaded_file_and_its_hash_match_the_server(server: Any, fetched: Fetched) -> None:
    assert fetched(server) == DATA
    assert fetched.entry["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert fetched.entry["size"] == len(DATA)
    assert fetched.progress == len(DATA)
    assert not part_of(fetched.path).exists()


def test_dropped_connections_repeat_no_byte(server: Any, fetched: Fetched) -> None:
    server.drop_after = 30_000
    assert fetched(server) == DATA
    assert server.statuses() == [200] + [206] * 6
    starts = [int(header[6:-1]) for _, header, _ in server.requests if header]
    assert starts == sorted(set(starts))
    assert fetched.progress == len(DATA)


def test_a_stopped_download_resumes_where_it_stopped(server: Any, fetched: Fetched) -> None:
    server.pause = 0.001
    fetched.stopped_at(server, 60_000)
    assert not fetched.path.exists()
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206]
    assert fetched.progress == len(DATA)


def test_a_date_is_the_validator_without_a_strong_etag(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, modified=formatdate(0, usegmt=True))
    server.drop_after = 90_000
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206, 206]


def test_without_a_validator_the_download_restarts(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, pause=0.001)
    fetched.stopped_at(server, 60_000)
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [200]


def test_a_server_that_ignores_ranges(server: Any, fetched: Fetched) -> None:
    server.ranges, server.pause = False, 0.001
    fetched.stopped_at(server, 60_000)
    assert fetched(server) == DATA
    assert server.statuses() == [200, 200]
    assert fetched.progress == len(DATA)
    assert any("does not send partial files" in note for note in fetched.notes)


@pytest.mark.slow
@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("new", [OTHER, DATA[::-1], OTHER[:10_000]])
def test_the_download_of_a_file_that_changed_between_attempts_restarts(
    new: bytes, if_range: bool, server: Any, fetched: Fetched
) -> None:
    """Also if the server ignores If-Range, or the new file is shorter than the partial file."""
    server.pause, server.if_range = 0.001, if_range
    fetched.stopped_at(server, 60_000)
    server.files["a.tar"] = new
    assert fetched(server) == new
    assert fetched.entry["sha256"] == hashlib.sha256(new).hexdigest()


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_during_its_download(
    if_range: bool, server: Any, fetched: Fetched
) -> None:
    server.drop_after, server.if_range = 60_000, if_range

    def change(state: Any, method: str) -> None:
        if state.statuses().count(206) == 1:
            state.files["a.tar"] = OTHER

    server.before = change
    assert fetched(server) == OTHER


@pytest.mark.slow
def test_a_server_that_does_not_respond_is_retried(server: Any, fetched: Fetched) -> None:
    def fall_silent(state: Any, method: str) -> None:
        state.pause = 2.5 if state.statuses() == [] else 0.0

    server.before = fall_silent
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206]
    assert any("the server does not respond; retrying in" in note for note in fetched.notes)


@pytest.mark.slow
def test_the_client_waits_as_long_as_the_server_asks(server: Any, fetched: Fetched) -> None:
    server.responses = [(503, {"Retry-After": "1"})]
    began = time.monotonic()
    assert fetched(server) == DATA
    assert time.monotonic() - began >= 1.0
    assert server.statuses() == [503, 200]


@pytest.mark.slow
def test_retry_after_may_be_a_date(server: Any, fetched: Fetched) -> None:
    server.responses = [(429, {"Retry-After": formatdate(time.time() + 2, usegmt=True)})]
    began = time.monotonic()
    assert fetched(server) == DATA
    assert time.monotonic() - began >= 0.9


def fails(fetched: Fetched, server: Any, *words: str, timeout: float = TIMEOUT) -> DataError:
    """Check that the download fails with a hint and a one-line message with these words."""
    with pytest.raises(DataError) as caught:
        fetched(server, timeout)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert not fetched.path.exists()
    return caught.value


def test_a_server_that_asks_to_wait_longer_than_the_timeout(server: Any, fetched: Fetched) -> None:
    server.responses = [(503, {"Retry-After": "86400"})]
    fails(fetched, server, "503", "asks to wait 86400 s, longer than --timeout (3 s)")
    assert server.statuses() == [503]


def stalls(fetched: Fetched, server: Any, *words: str, timeout: float = SHORT) -> None:
    error = fails(fetched, server, "/a.tar stalled: less than", f"in {timeout:g} s", *words,
                  timeout=timeout)  # fmt: skip
    assert isinstance(error, StalledError)
    assert "downloaded data is kept" in error.hint
    assert "resume" in error.hint


@pytest.mark.slow
def test_a_server_that_stays_out_of_service_is_a_stall(server: Any, fetched: Fetched) -> None:
    server.before = lambda state, method: state.responses.append((500, {}))
    stalls(fetched, server, "last failure: the server returned 500 Internal Server Error")
    assert len(server.statuses()) > 3
    assert any("500 Internal Server Error; retrying in" in note for note in fetched.notes)


@pytest.mark.slow
def test_dropped_connections_without_progress_are_a_stall(server: Any, fetched: Fetched) -> None:
    fetched.stopped_at(server, 60_000)
    server.drop_after = 0
    stalls(fetched, server, "the connection was dropped")
    server.drop_after = None
    server.requests.clear()
    assert fetched(server) == DATA
    assert set(server.statuses()) == {206}  # the last request before the stall may arrive late


@pytest.mark.slow
def test_a_hundred_dropped_connections_with_progress_are_no_stall(
    server: Any, fetched: Fetched
) -> None:
    server.drop_after = len(DATA) // 100
    assert fetched(server) == DATA
    assert server.statuses() == [200] + [206] * 99
    assert fetched.progress == len(DATA)


@pytest.mark.slow
@pytest.mark.parametrize("started", [False, True])
def test_a_few_bytes_a_minute_are_a_stall_and_are_kept(
    started: bool, server: Any, fetched: Fetched
) -> None:
    """In the headers and in the body; no single read times out."""

    def slow_down(state: Any, method: str) -> None:
        state.drip = 0.03 * (method == "HEAD" or started)

    if started:
        fetched.stopped_at(server, 60_000)
    server.before = slow_down
    stalls(fetched, server)
    server.before, server.drip = lambda state, method: None, 0.0
    server.requests.clear()
    assert fetched(server) == DATA
    assert set(server.statuses()) == ({206} if started else {200})


@pytest.mark.slow
def test_a_body_that_slows_down_to_a_few_bytes_a_minute(server: Any, fetched: Fetched) -> None:
    server.drip_after = 60_000
    stalls(fetched, server)
    part = part_of(fetched.path).read_bytes()
    assert 60_000 <= len(part) < 62_000 + 4096
    assert part == DATA[: len(part)]


def test_waits_grow_within_bounds_with_jitter(
    server: Any, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "tenacity.sleep_using_event.__call__", lambda _, seconds: waits.append(seconds)
    )
    server.responses = [(500, {})] * 12
    assert fetched(server, timeout=600.0) == DATA
    waits = [wait for wait in waits if wait >= 0.5]  # not those of stalled threads
    assert len(set(waits)) == 12
    for index, wait in enumerate(waits):
        longest = min(2.0**index, 60.0)
        assert longest / 2 <= wait <= longest


def test_a_missing_file_is_an_immediate_error(server: Any, fetched: Fetched) -> None:
    server.files.clear()
    fails(fetched, server, "http://127.0.0.1", "a.tar does not exist (404")
    assert server.statuses("HEAD") == [404]


def test_a_file_that_disappears_is_an_error(server: Any, fetched: Fetched) -> None:
    server.responses = [(404, {})]
    fails(fetched, server, "404")


def test_a_refused_request_is_an_error(server: Any, fetched: Fetched) -> None:
    server.responses = [(401, {})]
    fails(fetched, server, "401")


def test_a_length_that_is_too_long(server: Any, fetched: Fetched) -> None:
    server.wrong_lengths = {"HEAD": len(DATA) + 1000, "GET": len(DATA) + 1000}
    fails(fetched, server, "restart 5 times")


def test_a_length_that_is_too_short(server: Any, fetched: Fetched) -> None:
    server.wrong_lengths = {"GET": len(DATA) - 1000}
    fails(
        fetched, server, f"first announced {len(DATA):,} bytes and now {len(DATA) - 1000:,} bytes"
    )


def test_a_partial_file_longer_than_the_file_restarts_the_download(
    server: Any, fetched: Fetched
) -> None:
    server.pause = 0.001
    fetched.stopped_at(server, 60_000)
    with part_of(fetched.path).open("ab") as part:
        part.write(bytes(300_000))
    server.pause = 0.0
    assert fetched(server) == DATA
    assert 416 in server.statuses()


def test_a_complete_partial_file_is_not_requested_again(server: Any, fetched: Fetched) -> None:
    """The process was killed between the last byte and the rename."""
    fetched(server)
    fetched.path.rename(part_of(fetched.path))
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == []


def test_redirects_are_followed_for_ranges_too(
    serving: Serving, server: Any, fetched: Fetched
) -> None:
    elsewhere = serving({"a.tar": DATA}, drop_after=90_000)
    server.responses = [(302, {"Location": f"{elsewhere.url}/a.tar"})] * 3
    assert fetched(server) == DATA
    assert elsewhere.statuses() == [200, 206, 206]


def test_endless_redirects_are_an_error(server: Any, fetched: Fetched) -> None:
    server.responses = [(302, {"Location": f"{server.url}/a.tar"})] * 100
    fails(fetched, server, "redirect")


def test_a_redirect_to_a_local_file_is_refused(server: Any, fetched: Fetched) -> None:
    server.responses = [(302, {"Location": "file:///etc/hostname"})]
    fails(fetched, server, "cannot download http://127.0.0.1", "unsupported protocol")


def test_a_server_without_head(server: Any, fetched: Fetched) -> None:
    server.head = False
    assert fetched(server) == DATA
    assert server.statuses("HEAD") == [405]
    assert server.statuses() == [206, 200]


def test_no_server_at_all(fetched: Fetched) -> None:
    stalls(fetched, SimpleNamespace(url="http://127.0.0.1:1"), "127.0.0.1:1/a.tar", "refused")


@pytest.mark.parametrize("announced", [False, True])
def test_a_body_longer_than_announced(announced: bool, server: Any, fetched: Fetched) -> None:
    """HEAD or GET announces the length; bytes beyond it are never kept."""
    server.endless, server.announced = True, announced
    if announced:
        assert fetched(server) == DATA
        return
    fails(fetched, server, f"sent more than the {len(DATA):,} bytes announced")
    server.endless = False
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [200]


def test_an_endless_body_without_a_size_fills_at_most_half_of_the_free_disk(
    server: Any, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(fetched.folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    server.endless, server.announced = True, False
    remote = RemoteFile(None, server.tag("a.tar"))
    with pytest.raises(DataError, match=r"sent 500.0 kB without announcing a size"):
        fetched(server, remote=remote)
    assert part_of(fetched.path).stat().st_size <= 500_000


@pytest.mark.parametrize("etag", [False, True])
@pytest.mark.parametrize("text", ["\xe9\xff", "Žluťoučký".encode().decode("latin-1")])
def test_headers_outside_ascii_are_sent_back_unchanged(
    text: str, etag: bool, serving: Serving, fetched: Fetched
) -> None:
    server = serving({"a.tar": DATA}, etag=etag, etag_suffix=text, modified=text)
    fetched.stopped_at(server, 60_000)
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206]
    assert text in fetched.entry["etag" if etag else "modified"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes {'9' * 5000}-1/{'9' * 5000}"},
        {"Content-Range": "bytes \xb2-\xb2/\xb2"},
        {"Content-Range": "\xff"},
        {},
    ],
)
def test_an_invalid_range_restarts_the_download(
    headers: dict[str, str], server: Any, fetched: Fetched
) -> None:
    fetched.stopped_at(server, 60_000)
    server.responses = [(206, headers)]
    server.requests.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206, 200]


@pytest.mark.parametrize("wait", ["\xb2", "9" * 5000, "never", "-1", "\xff"])
def test_an_invalid_retry_after_is_ignored(wait: str, server: Any, fetched: Fetched) -> None:
    server.responses = [(503, {"Retry-After": wait})]
    assert fetched(server) == DATA


@pytest.mark.slow
@pytest.mark.parametrize("target", ["http://[", "http://\xff\xfe/", "//", "http://x:99999/"])
def test_an_invalid_redirect_is_a_one_line_error(
    target: str, server: Any, fetched: Fetched
) -> None:
    server.responses = [(302, {"Location": target})] * 100
    fails(fetched, server, "a.tar", timeout=SHORT)


def test_a_password_in_the_url_is_neither_stored_nor_shown(server: Any, fetched: Fetched) -> None:
    server.url = server.url.replace("//", "//me:secret@")
    fetched(server)
    assert "secret" not in (fetched.folder / "archives.json").read_text()
    server.files.clear()
    fetched.path.unlink()
    error = fails(fetched, server, "http://127.0.0.1", "does not exist")
    assert "secret" not in error.message


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"a.tar": {"size": "x"}}', '{"a.tar": {"etag": 5}}', '{"a.tar": 1}']
)
def test_a_manifest_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "archives.json").write_text(text)
    with pytest.raises(DataError, match="download manifest"):
        DownloadManifest(tmp_path)
