"""The archives are downloaded from a server on the loopback interface, and built."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nsi_cli import api


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = partial(QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["clevr", "hans3"])
def test_the_published_archive_is_downloaded_and_built(
    variant: str, mirror: tuple[Path, str], make_raw: Callable[..., Any], tmp_path: Path
) -> None:
    writer = make_raw(variant).splits(train=2, val=1)
    folder, url = mirror
    with zipfile.ZipFile(folder / f"{writer.folder.name}.zip", "w") as archive:
        for path in sorted(writer.raw.rglob("*")):
            archive.write(path, path.relative_to(writer.raw))
        for name in ("questions/CLEVR_train_questions.json", "images/test/CLEVR_test_000000.png",
                     "README.txt"):  # fmt: skip
            archive.writestr(f"{writer.folder.name}/{name}", "not needed")
    raw = tmp_path / "downloaded"
    store = api.build_store(
        "clevr", tmp_path / "store", raw=raw, download=api.DownloadOptions(mirror=url),
        image_size=16, workers=0, options={"variant": variant},
    )  # fmt: skip
    assert {split: store.count(split) for split in store.splits} == {"train": 2, "val": 1}
    there = {str(path.relative_to(raw)) for path in raw.rglob("*.*") if path.is_file()}
    expected = {str(path.relative_to(writer.raw)) for path in writer.raw.rglob("*.*")}
    archives = {"archives/.lock", "archives/archives.json"}
    archives.add(f"archives/{writer.folder.name}.zip")
    assert there == {name for name in expected if not (writer.raw / name).is_dir()} | archives
    recorded = json.loads((store.path / "build.json").read_text())["options"]
    assert list(recorded["archives"]) == [f"{writer.folder.name}.zip"]
