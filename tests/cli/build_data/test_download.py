"""``nsi build-data clevrtex --download`` as a user runs it, from a mirror on this machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Nsi = Callable[..., Any]
OneLine = Callable[..., None]
Start = Callable[..., subprocess.Popen[str]]


class Handler(SimpleHTTPRequestHandler):
    """A plain server, as slow as it is asked to be."""

    pause = 0.0

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        while data := source.read(20_000):
            time.sleep(type(self).pause)
            outputfile.write(data)


class Mirror:
    """A folder that is served on the loopback interface."""

    def __init__(self, folder: Path, url: str, handler: type[Handler]) -> None:
        self.folder, self.url, self.handler = folder, url, handler

    def pack(self, name: str, paths: list[Path], top: Path, *, compress: bool) -> None:
        """Make an archive of files, named as they lie below ``top``."""
        self.folder.mkdir(exist_ok=True)
        with tarfile.open(self.folder / name, "w") as opened:
            for path in paths:
                opened.add(path, str(path.relative_to(top)), recursive=False)
        if compress:
            data = (self.folder / name).read_bytes()
            (self.folder / name).write_bytes(gzip.compress(data, 1))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    handler: Any = type("Handling", (Handler,), {})
    folder = tmp_path / "mirror"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Mirror(folder, f"http://127.0.0.1:{server.server_address[1]}", handler)
        server.shutdown()
        thread.join()


@pytest.fixture
def parts(mirror: Mirror, raw: Path) -> Mirror:
    """The raw folder as release v1 is published: five archives that merge into one folder."""
    files = sorted(path for path in raw.rglob("*") if path.is_file() and path.parent != raw)
    for number in range(5):
        name = f"clevrtex_full_part{number + 1}.tar.gz"
        mirror.pack(name, [raw / "clevrtex_full", *files[number::5]], raw, compress=True)
    return mirror


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default paths lead nowhere."""
    monkeypatch.chdir(tmp_path)


def words(mirror: Mirror, *more: object) -> list[object]:
    return ["build-data", "clevrtex", "--download", "--yes", "--mirror", mirror.url, "--out",
            "data", "--image-size", 16, "--workers", 0, *more]  # fmt: skip


def same(one: Path, other: Path) -> bool:
    """Whether two stores hold the same arrays."""
    names = sorted(path.name for path in one.glob("*.npy"))
    return names == sorted(path.name for path in other.glob("*.npy")) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


@pytest.mark.slow
def test_release_v1_is_built_from_its_five_parts(nsi: Nsi, parts: Mirror, raw: Path) -> None:
    result = nsi(*words(parts, "--split-by", "proportional", "--json"))
    assert result.code == 0, result
    build = json.loads(result.stdout)
    assert sum(split["scenes"] for split in build["splits"].values()) == 60
    assert build["options"]["archives"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in parts.folder.iterdir()
    }
    for word in ("clevrtex_full_part5.tar.gz", "to fetch: ", "free at ", "download: ", "unpack: "):
        assert word in result.stderr
    assert (Path("data-raw") / "clevrtex_full").is_dir()
    straight = nsi("build-data", "clevrtex", "--raw", raw, "--out", "straight", "--image-size", 16,
                   "--workers", 0, "--split-by", "proportional")  # fmt: skip
    assert straight.code == 0, straight
    assert same(Path("data"), Path("straight"))


@pytest.mark.slow
@pytest.mark.parametrize("compress", [False, True])
def test_release_v2_is_built_plain_or_compressed(compress: bool, nsi: Nsi, mirror: Mirror) -> None:
    from nsi_clevrtex.builder import ClevrtexBuilder

    made = Path("made")
    ClevrtexBuilder(made, release="v2", materials=3).synthesize(6, seed=1, workers=0)
    scenes = [path for path in made.glob("*/*/*") if path.is_dir()]
    for scene in scenes:
        for name in ("albedo", "depth", "normal", "shadow"):
            (scene / f"{scene.name}_{name}_0003.png").write_bytes(b"of the renderer")
    files = sorted(path for path in made.rglob("*") if path.parent != made)
    mirror.pack("clevrtexv2_full.tar", files, made, compress=compress)
    result = nsi(*words(mirror, "--release", "v2", "--delete-archives", "--raw", "there"))
    assert result.code == 0, result
    there = {str(path.relative_to("there")) for path in Path("there").rglob("*.*")}
    assert there == {
        str(path.relative_to(made)) for path in made.rglob("*.*") if path.parent in scenes
        and not path.stem.endswith(("albedo_0003", "depth_0003", "normal_0003", "shadow_0003"))
    } | {"archives/archives.json", "archives/.lock"}  # fmt: skip


def test_the_flags_of_a_download_need_one(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    one_line(nsi("build-data", "clevrtex", "--yes"), 2, "--yes has no effect without --download")
    one_line(nsi("build-data", "clevrtex", "--timeout", 9), 2, "--timeout has no effect")
    one_line(nsi("build-data", "clevrtex", "--download", "--mirror", "ftp://x"), 2, "https://")
    for wrong in ("0", "nan", "1e9"):
        one_line(nsi("build-data", "clevrtex", "--download", "--timeout", wrong), 2, "timeout")
    one_line(nsi("build-data", "clevrtex", "--download", "--synthetic", 3), 2, "exclude each other")
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_it_requires_yes(nsi: Nsi, one_line: OneLine, parts: Mirror) -> None:
    asking = [word for word in words(parts) if word != "--yes"]
    one_line(nsi("-q", *asking), 2, "stdin is not a terminal", "--yes")
    assert not Path("data-raw").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_it_asks(answer: str, code: int, parts: Mirror) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "w") as keyboard:
        keyboard.write(f"{answer}\n")
        keyboard.flush()
        command = [str(word) for word in words(parts) if word != "--yes"]
        done = subprocess.run(
            [sys.executable, "-m", "nsi_cli", *command], stdin=theirs, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Download? [y/N]" in done.stderr
    assert Path("data").exists() == (code == 0)
    assert Path("data-raw").exists() == (code == 0)


@pytest.mark.slow
def test_quiet_says_nothing(nsi: Nsi, parts: Mirror) -> None:
    result = nsi("-q", *words(parts))
    assert (result.code, result.stderr) == (0, "")


def test_an_archive_that_is_not_there(nsi: Nsi, one_line: OneLine, parts: Mirror) -> None:
    result = nsi("-q", *words(parts, "--variant", "camo"))
    one_line(result, 1, "http://", "clevrtex_camo.tar.gz does not exist (404", "--mirror")
    assert not Path("data-raw").exists()


def test_a_page_in_place_of_an_archive(nsi: Nsi, one_line: OneLine, mirror: Mirror) -> None:
    mirror.folder.mkdir()
    (mirror.folder / "clevrtex_camo.tar.gz").write_text("<html>Please log in</html>" * 40)
    result = nsi("-q", *words(mirror, "--variant", "camo"))
    one_line(result, 1, "is damaged: not a tar or zip archive", "remove it")


def test_synthetic_scenes_are_not_mixed_with_real_ones(
    nsi: Nsi, one_line: OneLine, raw: Path, parts: Mirror
) -> None:
    one_line(nsi("-q", *words(parts, "--raw", raw)), 1, "contains synthetic scenes", "--raw")
    assert not (raw / "archives").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_tells_the_command_that_goes_on(
    number: int, start_nsi: Start, nsi: Nsi, parts: Mirror
) -> None:
    parts.handler.pause = 0.5
    command = [str(word) for word in words(parts)]
    process = start_nsi(*command)
    part = Path("data-raw/archives/clevrtex_full_part1.tar.gz.part")
    while not (part.is_file() and part.stat().st_size):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the download was interrupted; what arrived is kept" in stderr
    assert f"resume with: {shlex.join(['nsi', *command])}" in stderr
    assert "Traceback" not in stderr
    assert part.is_file()
    parts.handler.pause = 0.0
    assert nsi(*command).code == 0


@pytest.mark.slow
def test_a_stall_tells_the_command_that_goes_on(
    nsi: Nsi, one_line: OneLine, parts: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.handler.pause = 60.0
    command = [str(word) for word in ("-q", *words(parts, "--timeout", 1))]
    monkeypatch.setattr(sys, "argv", ["nsi", *command])
    result = nsi(*command)
    resume = f"kept; resume with: {shlex.join(['nsi', *command])}"
    one_line(result, 1, "tar.gz stalled: less than 1.0 kB in 1 s", resume)
    parts.handler.pause = 0.0
    assert nsi(*command).code == 0
