"""Whatever a server does, what arrives is its file, or one clear line."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from nsi_cli.data.fetch import Fetch, part_of
from nsi_cli.data.ledger import Ledger
from nsi_cli.data.remote import Patience, Remote, StoppedError, look_at, make_client
from nsi_cli.errors import DataError

DATA = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(150_000)
QUICK = Patience(timeout=0.3, tries=4, first_wait=0.01, longest_wait=0.02, longest_asked=5.0)

Serving = Callable[..., Any]


class Fetched:
    """Fetches ``a.tar`` into a folder, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "a.tar"
        self.notes: list[str] = []
        self.told = 0

    def __call__(self, server: Any, *, seen: Remote | None = None, **changes: Any) -> bytes:
        with make_client(QUICK) as client:
            url = f"{server.url}/a.tar"
            Fetch(
                url, self.path, seen or look_at(client, url, QUICK), Ledger(self.folder), client,
                QUICK, **{"stop": threading.Event(), "advance": self.advance,
                          "note": self.notes.append, **changes},
            ).run()  # fmt: skip
        return self.path.read_bytes()

    def advance(self, count: int) -> None:
        self.told += count

    def stopped_after(self, server: Any, most: int) -> None:
        """Fetch, and stop once so many bytes came."""
        stop = threading.Event()

        def advance(count: int) -> None:
            self.advance(count)
            if self.told >= most:
                stop.set()

        with pytest.raises(StoppedError):
            self(server, stop=stop, advance=advance)
        self.told = part_of(self.path).stat().st_size
        assert most <= self.told < len(DATA)

    @property
    def record(self) -> dict[str, Any]:
        entries: dict[str, dict[str, Any]] = json.loads((self.folder / "archives.json").read_text())
        return entries["a.tar"]


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    return Fetched(tmp_path)


@pytest.fixture
def server(serving: Serving) -> Any:
    return serving({"a.tar": DATA})


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 10


def test_a_file_and_its_sum_are_what_the_server_has(server: Any, fetched: Fetched) -> None:
    assert fetched(server) == DATA
    assert fetched.record["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert fetched.record["size"] == len(DATA)
    assert fetched.told == len(DATA)
    assert not part_of(fetched.path).exists()


def test_dropped_connections_cost_no_byte_twice(server: Any, fetched: Fetched) -> None:
    server.drop_after = 30_000
    assert fetched(server) == DATA
    assert server.statuses() == [200] + [206] * 6
    starts = [int(asked[6:-1]) for method, asked, _ in server.seen if asked]
    assert starts == sorted(set(starts))
    assert fetched.told == len(DATA)


def test_a_stopped_download_goes_on_where_it_was(server: Any, fetched: Fetched) -> None:
    server.pause = 0.001
    fetched.stopped_after(server, 60_000)
    assert not fetched.path.exists()
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [206]
    assert fetched.told == len(DATA)


def test_a_date_vouches_where_there_is_no_strong_etag(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, modified=formatdate(0, usegmt=True))
    server.drop_after = 90_000
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206, 206]


def test_without_anything_that_vouches_it_is_begun_anew(serving: Serving, fetched: Fetched) -> None:
    server = serving({"a.tar": DATA}, etag=False, pause=0.001)
    fetched.stopped_after(server, 60_000)
    server.seen.clear()
    assert fetched(server) == DATA
    assert server.statuses() == [200]


def test_a_server_that_ignores_ranges(server: Any, fetched: Fetched) -> None:
    server.ranges, server.pause = False, 0.001
    fetched.stopped_after(server, 60_000)
    assert fetched(server) == DATA
    assert server.statuses() == [200, 200]
    assert fetched.told == len(DATA)
    assert any("cannot send a part" in note for note in fetched.notes)


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("new", [OTHER, DATA[::-1], OTHER[:10_000]])
def test_a_file_that_changed_between_tries_is_begun_anew(
    new: bytes, if_range: bool, server: Any, fetched: Fetched
) -> None:
    """Also when the server overlooks If-Range, or the new file ends before what is here."""
    server.pause, server.if_range = 0.001, if_range
    fetched.stopped_after(server, 60_000)
    server.files["a.tar"] = new
    assert fetched(server) == new
    assert fetched.record["sha256"] == hashlib.sha256(new).hexdigest()


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
        state.pause = 1.0 if state.statuses() == [] else 0.0

    server.before = fall_silent
    assert fetched(server) == DATA
    assert server.statuses() == [200, 206]
    assert any("again in" in note for note in fetched.notes)


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


def fails(fetched: Fetched, server: Any, *words: str, **changes: Any) -> None:
    with pytest.raises(DataError) as caught:
        fetched(server, **changes)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert not fetched.path.exists()


def test_one_that_asks_to_wait_too_long_is_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(503, {"Retry-After": "86400"})]
    fails(fetched, server, "503", "86400 s")


def test_one_that_never_gets_better_is_given_up(server: Any, fetched: Fetched) -> None:
    server.answers = [(500, {})] * 10
    fails(fetched, server, "500 Internal Server Error (4 times in a row)")
    assert server.statuses() == [500] * 4


def test_waits_grow_and_are_never_in_step() -> None:
    patience = Patience(first_wait=1.0, longest_wait=8.0)
    for tries, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (9, 8.0)):
        waits = {patience.wait(tries) for _ in range(50)}
        assert len(waits) > 40
        assert all(longest / 2 <= wait <= longest for wait in waits)


def test_a_missing_file_is_told_at_once(server: Any, fetched: Fetched) -> None:
    server.files.clear()
    fails(fetched, server, "there is no http://127.0.0.1", "404")
    assert server.statuses("HEAD") == [404]


def test_a_file_that_vanishes_is_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(404, {})]
    fails(fetched, server, "404")


def test_a_refusal_is_told(server: Any, fetched: Fetched) -> None:
    server.answers = [(401, {})]
    fails(fetched, server, "401")


def test_a_length_that_is_too_long(server: Any, fetched: Fetched) -> None:
    server.said = {"HEAD": len(DATA) + 1000, "GET": len(DATA) + 1000}
    fails(fetched, server, "begun anew 5 times")


def test_a_length_that_is_too_short(server: Any, fetched: Fetched) -> None:
    server.said = {"GET": len(DATA) - 1000}
    fails(fetched, server, f"{len(DATA) - 1000:,} bytes now and said {len(DATA):,} bytes before")


def test_a_part_longer_than_the_file_is_begun_anew(server: Any, fetched: Fetched) -> None:
    server.pause = 0.001
    fetched.stopped_after(server, 60_000)
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
    fails(fetched, server, "cannot be fetched")


def test_a_server_that_knows_no_head(server: Any, fetched: Fetched) -> None:
    server.head = False
    with make_client(QUICK) as client:
        assert look_at(client, f"{server.url}/a.tar", QUICK).size == len(DATA)
    assert fetched(server) == DATA


def test_it_tells_that_it_asks_again() -> None:
    notes: list[str] = []
    with make_client(QUICK) as client, pytest.raises(DataError, match="4 times in a row"):
        look_at(client, "http://127.0.0.1:1/a.tar", QUICK, notes.append)
    assert len(notes) == 3
    assert all(note.startswith("a.tar: ") and "; again in" in note for note in notes)


def test_nobody_there(fetched: Fetched, serving: Serving) -> None:
    class Nobody:
        url = "http://127.0.0.1:1"

    fails(fetched, Nobody(), "127.0.0.1:1/a.tar")


def test_a_password_in_an_address_is_kept_to_oneself(server: Any, fetched: Fetched) -> None:
    server.url = server.url.replace("//", "//me:secret@")
    fetched(server)
    assert "secret" not in (fetched.folder / "archives.json").read_text()
    server.files.clear()
    fetched.path.unlink()
    fails(fetched, server, "there is no http://127.0.0.1")


def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for text in ("{", "[1]", '{"a.tar": {"size": "many"}}'):
        (tmp_path / "archives.json").write_text(text)
        with pytest.raises(DataError, match="archives"):
            Ledger(tmp_path)
