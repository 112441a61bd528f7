"""Downloading and unpacking archives into a raw folder, with and without interruptions."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import nsi_cli.data.download.download
from nsi_cli.data.download.download import download
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.data.download.plan import DownloadPlan, make_plan
from nsi_cli.plugins import Archive
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import Progress

WANTED = r"\d+/s_\d+\.png"
TIMEOUT = 3.0
KILLS = int(os.environ.get("NSI_KILLS", "5"))

Serving = Callable[..., Any]


def archives(url: str, names: list[str]) -> tuple[Archive, ...]:
    return tuple(Archive(url, name, WANTED, "scenes") for name in names)


def scene_files(count: int = 60) -> dict[str, bytes]:
    rng = random.Random(7)
    kinds = {"": 8_000, "_depth": 3_000}
    return {
        f"{i // 20}/s_{i}{kind}.png": rng.randbytes(size)
        for i in range(count)
        for kind, size in kinds.items()
    }


FILES = scene_files()
PICTURES = {f"scenes/{name}": data for name, data in FILES.items() if "_depth" not in name}


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(f"scenes/{name}")
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parts(count: int = 3) -> dict[str, bytes]:
    """Archives of the files, every other one compressed."""
    names = sorted(FILES)
    return {
        f"part{number}.tar": gzip.compress(data, mtime=0) if number % 2 else data
        for number in range(count)
        for data in [tar({name: FILES[name] for name in names[number::count]})]
    }


@pytest.fixture
def server(serving: Serving) -> Any:
    return serving(parts())


def planned(server: Any, raw: Path, **options: Any) -> DownloadPlan:
    chosen = DownloadOptions(timeout=TIMEOUT, **options)
    return make_plan(archives(server.url, sorted(parts())), raw, chosen)


def unpacked(raw: Path) -> dict[str, bytes]:
    """The files under the raw folder, except the archives."""
    return {
        str(path.relative_to(raw)): path.read_bytes()
        for path in raw.rglob("*")
        if path.is_file() and path.relative_to(raw).parts[0] != "archives"
    }


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_plan_lists_what_is_missing_and_writes_nothing(server: Any, tmp_path: Path) -> None:
    plan = planned(server, tmp_path / "raw")
    sizes = [len(data) for _, data in sorted(parts().items())]
    assert [item.size for item in plan.archives] == sizes
    assert [item.state for item in plan.archives] == ["missing"] * 3
    assert plan.bytes_to_fetch == sum(sizes)
    assert plan.bytes_needed == 2 * sum(sizes)
    assert planned(server, tmp_path / "raw", delete_archives=True).bytes_needed == sum(sizes) + max(
        sizes
    )
    assert server.statuses("GET") == []
    assert not list(tmp_path.iterdir())


def test_archives_are_downloaded_hashed_and_unpacked(server: Any, tmp_path: Path) -> None:
    sums = download(planned(server, tmp_path))
    assert unpacked(tmp_path) == PICTURES
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in parts().items()}
    record = json.loads((tmp_path / "archives" / "archives.json").read_text())
    assert {name: entry["sha256"] for name, entry in record.items()} == sums
    assert names_in(tmp_path / "archives") == ["archives.json", *sorted(parts())]


@pytest.mark.slow
def test_archives_are_downloaded_in_parallel(server: Any, tmp_path: Path) -> None:
    under_way, peak, lock = 0, 0, threading.Lock()

    def count(state: Any, method: str) -> None:
        nonlocal under_way, peak
        if method == "GET":
            with lock:
                under_way += 1
                peak = max(peak, under_way)
            time.sleep(0.1)
            with lock:
                under_way -= 1

    server.before = count
    download(planned(server, tmp_path / "a", connections=3))
    assert peak == 3
    peak = 0
    download(planned(server, tmp_path / "b", connections=1))
    assert peak == 1


def test_a_second_download_sends_no_request(server: Any, tmp_path: Path) -> None:
    first = download(planned(server, tmp_path))
    server.files.clear()
    server.requests.clear()
    plan = planned(server, tmp_path)
    assert [item.state for item in plan.archives] == ["unpacked"] * 3
    assert download(plan) == first
    assert server.requests == []


def test_unpacked_files_that_were_removed_are_unpacked_again(server: Any, tmp_path: Path) -> None:
    download(planned(server, tmp_path))
    (tmp_path / "scenes").rename(tmp_path / "elsewhere")
    server.requests.clear()
    download(planned(server, tmp_path))
    assert {name for name in unpacked(tmp_path) if name.startswith("scenes")} == set(PICTURES)
    assert server.requests == []


def test_each_archive_is_deleted_after_it_is_unpacked(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining: list[list[str]] = []

    def extract(path: Path, *rest: Any) -> int:
        remaining.append(names_in(path.parent)[1:])
        return actual(path, *rest)

    actual = nsi_cli.data.download.download.extract
    monkeypatch.setattr("nsi_cli.data.download.download.extract", extract)
    download(planned(server, tmp_path, delete_archives=True))
    names = sorted(parts())
    assert remaining == [names, names[1:], names[2:]]
    assert names_in(tmp_path / "archives") == ["archives.json"]
    server.requests.clear()
    download(planned(server, tmp_path, delete_archives=True))
    assert server.requests == []
    assert unpacked(tmp_path) == PICTURES


def test_archives_that_were_kept_are_deleted_on_request(server: Any, tmp_path: Path) -> None:
    download(planned(server, tmp_path))
    download(planned(server, tmp_path, delete_archives=True))
    assert names_in(tmp_path / "archives") == ["archives.json"]


def test_an_archive_that_the_user_placed_there_is_used(server: Any, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    for name, data in parts().items():
        (folder / name).write_bytes(data)
    sums = download(planned(server, tmp_path))
    assert server.statuses("GET") == []
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in parts().items()}
    assert unpacked(tmp_path) == PICTURES


def test_an_archive_of_a_different_size_is_an_error(server: Any, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "part1.tar").write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"part1.tar has 10 bytes, but [\d,]+ on the server"):
        planned(server, tmp_path)


def test_an_archive_that_changed_on_disk_is_an_error(server: Any, tmp_path: Path) -> None:
    download(planned(server, tmp_path))
    path = tmp_path / "archives" / "part1.tar"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    shutil.rmtree(tmp_path / "scenes")
    with pytest.raises(DataError, match="changed since it was downloaded: its SHA-256 begins with"):
        download(planned(server, tmp_path))


def test_too_little_disk_space_is_an_error_before_the_download(server: Any, tmp_path: Path) -> None:
    server.wrong_lengths = {"HEAD": 10**15}
    with pytest.raises(DataError, match=r"the disk is full: downloading 3.0 PB needs"):
        planned(server, tmp_path)
    assert server.statuses("GET") == []


def test_a_missing_archive_is_an_error_before_the_download(server: Any, tmp_path: Path) -> None:
    del server.files["part2.tar"]
    with pytest.raises(DataError, match=r"/part2.tar does not exist \(404"):
        planned(server, tmp_path)
    assert server.statuses("GET") == []


@pytest.mark.slow
def test_a_failed_download_stops_the_others_which_can_resume(server: Any, tmp_path: Path) -> None:
    server.pause = 0.002
    plan = planned(server, tmp_path)
    del server.files["part0.tar"]
    with pytest.raises(DataError, match=r"part0\.tar"):
        download(plan)
    server.files = parts()
    server.pause = 0.0
    download(planned(server, tmp_path))
    assert unpacked(tmp_path) == PICTURES


def test_a_disk_that_fills_up_while_unpacking_is_an_error(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan = planned(server, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "copyfileobj", full)
        with pytest.raises(DataError, match="the disk is full") as caught:
            download(plan)
    assert "--raw" in caught.value.hint
    assert unpacked(tmp_path) == {}
    server.requests.clear()
    download(planned(server, tmp_path))
    assert unpacked(tmp_path) == PICTURES
    assert server.requests == []


def test_a_mirror_replaces_the_server(server: Any, tmp_path: Path) -> None:
    options = DownloadOptions(mirror=server.url + "/", timeout=TIMEOUT)
    download(make_plan(archives("http://127.0.0.1:1", sorted(parts())), tmp_path, options))
    assert unpacked(tmp_path) == PICTURES


@pytest.mark.slow
def test_a_stalled_download_stops_the_others_which_can_resume(server: Any, tmp_path: Path) -> None:
    plan = make_plan(archives(server.url, sorted(parts())), tmp_path, DownloadOptions(timeout=0.5))
    server.before = lambda state, method: setattr(state, "drip", 0.03)
    with pytest.raises(DataError, match=r"part\d.tar stalled: less than 500 bytes in 0.5 s"):
        download(plan)
    server.before, server.drip = lambda state, method: None, 0.0
    download(planned(server, tmp_path))
    assert unpacked(tmp_path) == PICTURES


def test_a_manifest_of_an_older_version_is_read(server: Any, tmp_path: Path) -> None:
    """Its entries may say that all files were unpacked, or have unknown fields."""
    download(planned(server, tmp_path, delete_archives=True))
    path = tmp_path / "archives" / "archives.json"
    entries = json.loads(path.read_text())
    for entry in entries.values():
        entry |= {"extracted": "all", "unknown": 1}
    path.write_text(json.dumps(entries))
    server.requests.clear()
    download(planned(server, tmp_path))
    assert server.requests == []


def test_a_second_download_waits_for_the_first(server: Any, tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(Progress):
        def note(self, text: str) -> None:
            notes.append(text)
            lock.release()

    plan = planned(server, tmp_path)
    (tmp_path / "archives").mkdir()
    lock = FileLock(tmp_path / "archives" / ".lock")
    lock.acquire()
    download(plan, Notes())
    assert "another process is downloading to" in notes[0]
    assert unpacked(tmp_path) == PICTURES


def test_a_file_system_without_locks_is_used_without(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    download(planned(server, tmp_path))
    assert unpacked(tmp_path) == PICTURES


DOWNLOAD = f"""
import os, resource, signal, sys
from pathlib import Path
from nsi_cli.data.download import untar
from nsi_cli.data.download import fetch
from nsi_cli.data.download.download import download
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.data.download.plan import make_plan
from nsi_cli.plugins import Archive
url, raw, *names = sys.argv[1:]
archives = [Archive(url, name, {WANTED!r}, "scenes") for name in names]
fetch.MAX_RESTARTS = 100

if reads_left := int(os.environ.get("READS", "0")):  # reads until the process is killed
    untar._CHUNK = 2048
    actual = untar._Source.read
    def read(self, count):
        global reads_left
        reads_left -= 1
        if not reads_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return actual(self, count)
    untar._Source.read = read

if limit := int(os.environ.get("FILE_LIMIT", "0")):  # bytes; acts like a full disk or a quota
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

download(make_plan(archives, Path(raw), DownloadOptions(timeout=6.0, connections=2)))
"""


def start(server: Any, raw: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, server.url, str(raw), *sorted(parts())],
        stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip


def check_complete(process: subprocess.Popen[bytes], raw: Path) -> None:
    """Wait for the process, and check that every file matches the server, with no other file."""
    _, result = process.communicate()
    assert process.returncode == 0, result.decode()
    assert unpacked(raw) == PICTURES
    assert names_in(raw / "archives") == ["archives.json", *sorted(parts())]
    for name, data in parts().items():
        assert (raw / "archives" / name).read_bytes() == data


@pytest.mark.slow
def test_a_download_resumes_after_the_disk_was_full(server: Any, tmp_path: Path) -> None:
    process = start(server, tmp_path, FILE_LIMIT="100000")
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert b"the disk is full" in stderr
    partial_files = (tmp_path / "archives").glob("*.part")
    assert max(path.stat().st_size for path in partial_files) == 100_000
    server.requests.clear()
    check_complete(start(server, tmp_path), tmp_path)
    assert 206 in server.statuses()


@pytest.mark.slow
def test_a_download_killed_at_any_moment_ends_in_the_same_bytes(
    serving: Serving, tmp_path: Path
) -> None:
    """The server sometimes drops connections, is slow, ignores ranges or is out of service."""
    rng = random.Random(3)
    server = serving(parts(), nasty_seed=3)
    killed = completed = 0
    while killed < KILLS:
        process = start(server, tmp_path)
        time.sleep(rng.uniform(0.25, 1.2))
        process.kill()
        if process.wait() == -signal.SIGKILL:
            killed += 1
        else:  # it finished: start over
            check_complete(process, tmp_path)
            shutil.rmtree(tmp_path)
            completed += 1
    check_complete(start(server, tmp_path), tmp_path)
    print(f"{killed} kills, {completed + 1} downloads, {len(server.requests)} requests")


@pytest.mark.slow
def test_an_extraction_killed_at_any_moment_ends_in_the_same_bytes(
    server: Any, tmp_path: Path
) -> None:
    """Every unpacked file is complete; each run starts with the archive that was interrupted."""
    rng = random.Random(4)
    chunks = len(tar(FILES)) // 3 // 2048
    for _ in range(KILLS):
        process = start(server, tmp_path, READS=str(rng.randint(1, 2 * chunks)))
        _, stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL, stderr.decode()
        files = {name: data for name, data in unpacked(tmp_path).items() if "/." not in name}
        assert files.items() <= PICTURES.items()
    assert files
    check_complete(start(server, tmp_path), tmp_path)
    assert server.statuses("GET") == [200] * 3
