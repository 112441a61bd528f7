"""Whatever a server does, what arrives is its file, or one clear line."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
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
"""Far more than these downloads need, on a busy machine too."""
SHORT = 0.4
"""For downloads that are to stall."""

Serving = Callable[..., Any]


class Fetched:
    """Downloads ``a.tar`` into a folder, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "a.tar"
        self.notes: list[str] = []
        self.progress = 0
        self.stop_at: int | None = None

    def __call__(
        self, server: Any, timeout: float = TIMEOUT, seen: RemoteFile | None = None
    ) -> bytes:
        url = f"{server.url}/a.tar"
        with make_client(timeout) as client:

            def fetch(transfer: Transfer) -> None:
                remote = seen or probe(client, url, transfer)
                manifest = DownloadManifest(self.folder)
                Fetch(
                    url, self.path, remote, manifest, client, transfer, self.advance,
                    self.notes.append,
                ).run()  # fmt: skip

            run_transfers([(url, fetch)], timeout=timeout, connections=1, note=self.notes.append)
        return self.path.read_bytes()

    def advance(self, count: int) -> None:
        self.progress += count
        if self.stop_at is not None and self.progress >= self.stop_at:
            raise StoppedError

    def stopped_at(self, server: Any, position: int) -> None:
        """Download, and stop once so many bytes arrived."""
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


def test_a_file_and_its_sum_are_what_the_server_has(server: Any, fetched: Fetched) -> None:
    assert fetched(server) == DATA
    assert fetched.entry["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert fetched.entry["size"] == len(DATA)
    assert fetched.progress == len(DATA)
    assert not part_of(fetched.path).exists()


def test_dropped_connections_cost_no_byte_twice(server: Any, fetched: Fetched) -> None:
    server.drop_after = 30_000
    assert fetched(server) == DATA
    assert server.statuses() == [200] + [206] * 6
    starts = [int(asked[6:-1]) for method, asked, _ in server.seen if asked]
    assert starts == sorted(set(starts))
    assert fetched.progress == len(DATA)


def test_a_stopped_download_goes_on_where_it_was(server: Any, fetched: Fetched) -> None:
    server.pause = 0.001
    fetched.stopped_at(server, 60_000)
    assert not fetched.path.exists()
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206]
    assert fetched.progress == len(DATA)


def test_a_date_vouches_where_there_is_no_strong_etag(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, modified=formatdate(0, usegmt=True))
    server.drop_after = 90_000
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206, 206]


def test_without_anything_that_vouches_it_is_begun_anew(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, pause=0.001)
    fetched.stopped_at(server, 60_000)
    server.seen.clear()
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
def test_a_file_that_changed_between_tries_is_begun_anew(
    new: bytes, if_range: bool, server: Any, fetched: Fetched
) -> None:
    """Also when the server overlooks If-Range, or the new file ends before what is here."""
    server.pause, server.if_range = 0.001, if_range
    fetched.stopped_at(server, 60_000)
    server.files["a.tar"] = new
    assert fetched(server) == new
    assert fetched.entry["sha256"] == hashlib.sha256(new).hexdigest()


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_while_it_comes(if_range: bool, server: Any, fetched: Fetched) -> None:
    server.drop_after, server.if_range = 60_000, if_range

    def change(state: Any, method: str) -> None:
        if state.statuses().count(206) == 1:
            state.files["a.tar"] = OTHER

    server.before = change
    assert fetched(server) == OTHER


def test_a_silent_server_is_asked_again(server: Any, fetched: Fetched) -> None:
    def fall_silent(state: Any, method: str) -> None:
        state.pause = 2.5 if state.statuses() == [] else 0.0

    server.before = fall_silent
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206]
    assert any("the server is silent; retrying in" in note for note in fetched.notes)


def test_a_server_that_asks_to_wait_is_left_alone_for_as_long(
    server: Any, fetched: Fetched
) -> None:
    server.answers = [(503, {"Retry-After": "1"})]
    began = time.monotonic()
    assert fetched(server) == DATA
    assert time.monotonic() - began >= 1.0
    assert server.statuses() == [503, 200]


def test_a_date_to_wait_for_is_understood(server: Any, fetched: Fetched) -> None:
    server.answers = [(429, {"Retry-After": formatdate(time.time() + 2, usegmt=True)})]
    began = time.monotonic()
    assert fetched(server) == DATA
    assert time.monotonic() - began >= 0.9


def fails(fetched: Fetched, server: Any, *words: str, timeout: float = TIMEOUT) -> DataError:
    """The download ends with one line that has these words, and a hint."""
    with pytest.raises(DataError) as caught:
        fetched(server, timeout)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert not fetched.path.exists()
    return caught.value


def test_a_server_that_asks_to_wait_longer_than_the_timeout(server: Any, fetched: Fetched) -> None:
    server.answers = [(503, {"Retry-After": "86400"})]
    fails(fetched, server, "503", "asks to wait 86400 s, longer than --timeout (3 s)")
    assert server.statuses() == [503]


def stalls(fetched: Fetched, server: Any, *words: str, timeout: float = SHORT) -> None:
    error = fails(fetched, server, "/a.tar stalled: less than", f"in {timeout:g} s", *words,
                  timeout=timeout)  # fmt: skip
    assert isinstance(error, StalledError)
    assert "what arrived is kept" in error.hint
    assert "resume" in error.hint


def test_a_server_that_stays_out_of_service_is_given_up(server: Any, fetched: Fetched) -> None:
    server.before = lambda state, method: state.answers.append((500, {}))
    stalls(fetched, server, "the last failure: the server answers 500 Internal Server Error")
    assert len(server.statuses()) > 3
    assert any("500 Internal Server Error; retrying in" in note for note in fetched.notes)


def test_a_server_that_drops_a_hundred_times_without_progress_is_given_up(
    server: Any, fetched: Fetched
) -> None:
    fetched.stopped_at(server, 60_000)
    server.drop_after = 0
    stalls(fetched, server, "the connection was dropped")
    server.drop_after = None
    server.seen.clear()
    assert fetched(server) == DATA
    assert set(server.statuses()) == {206}  # the last request before the stall may come late


def test_a_server_that_drops_a_hundred_times_but_goes_on_is_not_given_up(
    server: Any, fetched: Fetched
) -> None:
    server.drop_after = len(DATA) // 100
    assert fetched(server) == DATA
    assert server.statuses() == [200] + [206] * 99
    assert fetched.progress == len(DATA)


@pytest.mark.parametrize("started", [False, True])
def test_some_bytes_a_minute_are_a_stall_and_are_kept(
    started: bool, server: Any, fetched: Fetched
) -> None:
    """In headers as in the body; no read times out meanwhile."""

    def slow_down(state: Any, method: str) -> None:
        state.drip = 0.03 * (method == "HEAD" or started)

    if started:
        fetched.stopped_at(server, 60_000)
    server.before = slow_down
    stalls(fetched, server)
    server.before, server.drip = lambda state, method: None, 0.0
    server.seen.clear()
    assert fetched(server) == DATA
    assert set(server.statuses()) == ({206} if started else {200})


def test_a_body_that_slows_down_to_some_bytes_a_minute(server: Any, fetched: Fetched) -> None:
    server.drip_after = 60_000
    stalls(fetched, server)
    kept = part_of(fetched.path).read_bytes()
    assert 60_000 <= len(kept) < 62_000 + 4096
    assert kept == DATA[: len(kept)]


def test_waits_grow_within_bounds_and_differ(
    server: Any, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "tenacity.sleep_using_event.__call__", lambda _, seconds: waits.append(seconds)
    )
    server.answers = [(500, {})] * 12
    assert fetched(server, timeout=600.0) == DATA
    waits = [wait for wait in waits if wait >= 0.5]  # not those of threads that stalled before
    assert len(set(waits)) == 12
    for index, wait in enumerate(waits):
        longest = min(2.0**index, 60.0)
        assert longest / 2 <= wait <= longest


def test_a_missing_file_is_told_at_once(server: Any, fetched: Fetched) -> None:
    server.files.clear()
    fails(fetched, server, "http://127.0.0.1", "a.tar does not exist (404")
    assert server.statuses("HEAD") == [404]


def test_a_file_that_vanishes_is_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(404, {})]
    fails(fetched, server, "404")


def test_a_refusal_is_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(401, {})]
    fails(fetched, server, "401")


def test_a_length_that_is_too_long(server: Any, fetched: Fetched) -> None:
    server.said = {"HEAD": len(DATA) + 1000, "GET": len(DATA) + 1000}
    fails(fetched, server, "restart 5 times")


def test_a_length_that_is_too_short(server: Any, fetched: Fetched) -> None:
    server.said = {"GET": len(DATA) - 1000}
    fails(
        fetched, server, f"first announced {len(DATA):,} bytes and now {len(DATA) - 1000:,} bytes"
    )


def test_a_part_longer_than_the_file_is_begun_anew(server: Any, fetched: Fetched) -> None:
    server.pause = 0.001
    fetched.stopped_at(server, 60_000)
    with part_of(fetched.path).open("ab") as part:
        part.write(bytes(300_000))
    server.pause = 0.0
    assert fetched(server) == DATA
    assert 416 in server.statuses()


def test_a_whole_part_is_not_asked_for_again(server: Any, fetched: Fetched) -> None:
    """One killed between the last byte and the move."""
    fetched(server)
    fetched.path.rename(part_of(fetched.path))
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == []


def test_redirections_are_followed_also_for_parts(
    serving: Serving, server: Any, fetched: Fetched
) -> None:
    elsewhere = serving({"a.tar": DATA}, drop_after=90_000)
    server.answers = [(302, {"Location": f"{elsewhere.url}/a.tar"})] * 3
    assert fetched(server) == DATA
    assert elsewhere.statuses() == [200, 206, 206]


def test_endless_redirections_are_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(302, {"Location": f"{server.url}/a.tar"})] * 100
    fails(fetched, server, "redirect")


def test_a_redirection_to_a_file_of_this_machine_is_refused(server: Any, fetched: Fetched) -> None:
    server.answers = [(302, {"Location": "file:///etc/hostname"})]
    fails(fetched, server, "cannot download http://127.0.0.1", "unsupported protocol")


def test_a_server_without_head(server: Any, fetched: Fetched) -> None:
    server.head = False
    assert fetched(server) == DATA
    assert server.statuses("HEAD") == [405]
    assert server.statuses() == [206, 200]


def test_no_server_at_all(fetched: Fetched, serving: Serving) -> None:
    class Nobody:
        url = "http://127.0.0.1:1"

    stalls(fetched, Nobody(), "127.0.0.1:1/a.tar", "refused")


@pytest.mark.parametrize("announced", [False, True])
def test_a_body_longer_than_announced(announced: bool, server: Any, fetched: Fetched) -> None:
    """It is announced by HEAD, or by GET; what follows the announced length is never kept."""
    server.endless, server.announced = True, announced
    if announced:
        assert fetched(server) == DATA
        return
    fails(fetched, server, f"sends more than the {len(DATA):,} bytes announced")
    server.endless = False
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [200]


def test_a_body_without_a_size_or_an_end_fills_half_the_free_disk_at_most(
    server: Any, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(fetched.folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    server.endless, server.announced = True, False
    seen = RemoteFile(None, server.tag("a.tar"))
    with pytest.raises(DataError, match=r"sent 500.0 kB without announcing a size"):
        fetched(server, seen=seen)
    assert part_of(fetched.path).stat().st_size <= 500_000


@pytest.mark.parametrize("etag", [False, True])
@pytest.mark.parametrize("text", ["\xe9\xff", "Žluťoučký".encode().decode("latin-1")])
def test_headers_outside_ascii_are_sent_back_as_they_came(
    text: str, etag: bool, serving: Serving, fetched: Fetched
) -> None:
    server = serving({"a.tar": DATA}, etag=etag, etag_suffix=text, modified=text)
    fetched.stopped_at(server, 60_000)
    server.seen.clear()
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
def test_a_range_that_makes_no_sense_restarts_the_download(
    headers: dict[str, str], server: Any, fetched: Fetched
) -> None:
    fetched.stopped_at(server, 60_000)
    server.answers = [(206, headers)]
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206, 200]


@pytest.mark.parametrize("wait", ["\xb2", "9" * 5000, "never", "-1", "\xff"])
def test_a_retry_after_that_makes_no_sense_is_ignored(
    wait: str, server: Any, fetched: Fetched
) -> None:
    server.answers = [(503, {"Retry-After": wait})]
    assert fetched(server) == DATA


@pytest.mark.parametrize("target", ["http://[", "http://\xff\xfe/", "//", "http://x:99999/"])
def test_a_redirect_that_makes_no_sense_is_one_line(
    target: str, server: Any, fetched: Fetched
) -> None:
    server.answers = [(302, {"Location": target})] * 100
    fails(fetched, server, "a.tar", timeout=SHORT)


def test_a_password_in_an_address_is_kept_to_oneself(server: Any, fetched: Fetched) -> None:
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
