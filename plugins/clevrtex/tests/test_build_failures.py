"""A fault of the raw data or the disk is a one-line error with a hint, and leaves no files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nsi_clevrtex.builder import ClevrtexBuilder

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import is_store, open_store
from nsi_cli.support.errors import DataError, NsiError


def _build(writer, out: Path, **options) -> Path:
    build_options = BuildOptions(**{"image_size": 32, **options})
    return build_store(ClevrtexBuilder(writer.raw, split_by="test"), "clevrtex", out, build_options)


def _everything(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _truncate_json(writer, make_object, boxes) -> None:
    writer.json(1).write_text(writer.json(1).read_text()[:100])


def _corrupt_image(writer, make_object, boxes) -> None:
    data = writer.image(1).read_bytes()
    writer.image(1).write_bytes(data[: len(data) // 2])


def _corrupt_mask(writer, make_object, boxes) -> None:
    writer.mask(1).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)


def _colour_mask(writer, make_object, boxes) -> None:
    writer.image(1).replace(writer.mask(1))
    writer.write_image(1)


def _other_size(writer, make_object, boxes) -> None:
    writer.write_mask(1, np.zeros((120, 160), np.uint8))


def _many(writer, make_object, boxes) -> None:
    writer.scene(1, [make_object(i) for i in range(1, 12)], mask=boxes(10))


def _replace_by(make):
    """Return damage functions that replace a scene's file by what ``make`` creates at its path."""

    def of_kind(kind):
        def damage(writer, make_object, boxes) -> None:
            path = getattr(writer, kind)(1)
            path.unlink()
            make(path)

        return damage

    return of_kind


_pipe, _folder = _replace_by(os.mkfifo), _replace_by(Path.mkdir)
_endless = _replace_by(lambda path: path.symlink_to("/dev/zero"))

FAULTS = {
    "truncated JSON": (_truncate_json, "000001: its JSON is damaged", "restore the scene"),
    "corrupt image": (_corrupt_image, r"000001\.png cannot be read as a PNG", "restore the scene"),
    "corrupt mask": (_corrupt_mask, r"_flat\.png cannot be read as a PNG", "restore the scene"),
    "missing image": (lambda m, *_: m.image(1).unlink(), "is missing", "restore"),
    "a pipe for JSON": (
        _pipe("json"),
        "000001: its JSON cannot be read: .* a named pipe",
        "restore",
    ),
    "a pipe for an image": (_pipe("image"), r"000001\.png cannot be read: .* pipe", "restore"),
    "a pipe for a mask": (_pipe("mask"), r"000001_flat\.png cannot be read: .* pipe", "restore"),
    "an endless image": (_endless("image"), "cannot be read: it is a device", "restore"),
    "an endless JSON": (_endless("json"), "cannot be read: it is a device", "restore"),
    "a folder for a mask": (_folder("mask"), "cannot be read: it is a folder", "restore"),
    "a JSON of 20 MB": (
        lambda m, *_: os.truncate(m.json(1), 20_000_000),
        "more than .* bytes",
        "rest",
    ),
    "an image of 20 MB": (
        lambda m, *_: os.truncate(m.image(1), 20_000_000),
        "more than .*",
        "rest",
    ),
    "coloured mask": (_colour_mask, "a mask of mode RGBA", "restore the scene"),
    "other frame": (_other_size, "160×120 pixels", "restore the scene"),
    "unknown material": (
        lambda m, t, b: m.scene(1, [t(1, material="poligonbricks01")]),
        "000001: unknown material 'poligonbricks01'",
        "did you mean 'poliigonbricks01'",
    ),
    "no object with a pixel": (
        lambda m, t, b: m.write_mask(1, b(0)),
        r"000001_flat\.png: no object has a pixel in the mask",
        "restore the scene",
    ),
    "pixel without object": (
        lambda m, t, b: m.write_mask(1, b(4)),
        "000001: the mask has a value 4 that belongs to no object",
        "must agree",
    ),
    "NaN": (
        lambda m, t, b: m.scene(1, [t(1, **{"3d_coords": [0.0, float("nan"), 0.0]})]),
        "000001: an object's '3d_coords' is",
        "restore the scene",
    ),
    "eleven objects": (_many, "000001: 11 objects", "restore the scene"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_scene_is_a_one_line_error_and_leaves_no_files(
    make_raw, make_object, boxes, tmp_path: Path, fault: str
) -> None:
    damage, result, remedy = FAULTS[fault]
    writer = make_raw()
    for index in range(3):
        writer.scene(index)
    damage(writer, make_object, boxes)
    raw = _everything(writer.raw)
    with pytest.raises(NsiError, match=result) as caught:
        _build(writer, tmp_path / "out" / "store")
    error = caught.value
    assert error.exit_code == 1
    assert error.message.removeprefix("at least ").startswith("1 of 3 scenes cannot be read")
    assert "\n" not in error.message + error.hint
    assert remedy in error.hint
    assert "--max-skipped" in error.hint
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert _everything(writer.raw) == raw


def test_a_missing_raw_folder_leaves_no_files(make_raw, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no raw folder at"):
        _build(make_raw(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_if_no_scene_can_be_read_the_error_is_the_first_fault(
    make_raw, make_object, tmp_path
) -> None:
    writer = make_raw()
    writer.scene(0, [make_object(1, material="marbel")])
    with pytest.raises(DataError, match="unknown material 'marbel'"):
        _build(writer, tmp_path / "out", max_skipped=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_store_is_unchanged_if_rebuilding_it_fails(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    for index in range(3):
        writer.scene(index)
    _build(writer, tmp_path / "store")
    before = _everything(tmp_path / "store")
    writer.mask(2).unlink()
    with pytest.raises(DataError):
        _build(writer, tmp_path / "store")
    assert _everything(tmp_path / "store") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "store"]


def test_few_unreadable_scenes_are_skipped_and_listed(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    for index in range(10):
        writer.scene(index, 2)
    writer.image(3).write_bytes(b"")
    writer.json(7).write_text("{")
    with pytest.raises(
        DataError, match=r"2 of 10 scenes cannot be read, and at most 10.0% may be skipped"
    ) as caught:
        _build(writer, tmp_path / "store", max_skipped=0.1)
    assert "000003.png" in caught.value.message
    assert "000007" in caught.value.message
    store = open_store(_build(writer, tmp_path / "store", max_skipped=0.2))
    assert store.count("test") == 8
    assert not {writer.stem(3).name, writer.stem(7).name} & set(store.ids("test"))
    first, second = store.build["skipped"]
    assert (first["split"], first["scene"]) == ("test", "CLEVRTEX_full_000003")
    assert "cannot be read as a PNG" in first["reason"]
    assert "its JSON is damaged" in second["reason"]


def test_a_split_without_a_readable_scene_fails_the_build(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    for index in (0, 1, 40_000):
        writer.scene(index)
    writer.image(40_000).write_bytes(b"")
    builder = ClevrtexBuilder(writer.raw)
    with pytest.raises(DataError, match=r"no scene of split 'test' can be read: .*040000"):
        build_store(builder, "clevrtex", tmp_path / "out", BuildOptions(32, max_skipped=0.5))


def test_only_a_store_is_ever_replaced(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    writer.scene(0)
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="exists and is not a store"):
        _build(writer, home)
    assert (home / "thesis.tex").read_text() == "years of work"
    _build(writer, tmp_path / "store")
    writer.raw.rename(tmp_path / "store" / "raw")
    with pytest.raises(DataError, match=r"the raw data .* lies in"):
        build_store(
            ClevrtexBuilder(tmp_path / "store" / "raw"), "x", tmp_path / "store", BuildOptions(32)
        )
    assert is_store(tmp_path / "store")


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.support.errors import NsiError

raw, out, *limits = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, limits):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        build_store(ClevrtexBuilder(Path(raw)), "clevrtex", Path(out), BuildOptions(64))
    except NsiError as error:
        print(json.dumps([error.message, error.hint, error.exit_code]))
    else:
        print(json.dumps("built"))
"""


@pytest.mark.slow
def test_a_full_disk_is_an_error_at_every_byte(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    for index in range(40):  # more than one chunk
        writer.scene(index, 2)
    out = tmp_path / "deep" / "store"
    whole = (_build(writer, tmp_path / "whole", image_size=64) / "images.h5").stat().st_size
    limits = [10, 1000, 100_000, 400_000, whole - 5000, whole - 1, 2 * whole]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(writer.raw), str(out), *map(str, limits)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    *failures, last = map(json.loads, done.stdout.splitlines())
    assert len(failures) == len(limits) - 1
    for message, hint, code in failures:
        assert message == f"cannot write {out}: the disk is full"
        assert "free some space" in hint
        assert code == 1
    assert last == "built"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["store"]


def test_too_little_disk_space_is_an_error_before_any_work(
    make_raw, tmp_path: Path, monkeypatch
) -> None:
    writer = make_raw()
    writer.scene(0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3000}))
    with pytest.raises(DataError, match="the disk is full: a store of 1 scenes needs"):
        _build(writer, tmp_path / "out" / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.slow
def test_a_killed_worker_is_an_error(make_raw, tmp_path: Path) -> None:
    writer = make_raw()
    writer.scene(0)
    with pytest.raises(DataError, match="a worker process was killed") as caught:
        build_store(
            KillingBuilder(writer.raw), "clevrtex", tmp_path / "out", BuildOptions(32, workers=1)
        )
    assert "--workers" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


class KillingBuilder(ClevrtexBuilder):
    """Kills the process that unpickles it, as if that ran out of memory."""

    def __reduce__(self):
        return exec, ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)",)
