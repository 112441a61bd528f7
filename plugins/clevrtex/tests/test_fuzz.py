"""Of 300 fuzzed scenes, each is built according to its files or skipped with a reason."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nsi_clevrtex.builder import ClevrtexBuilder
from PIL import Image

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.check.check import check_store
from nsi_cli.data.store.reader import open_store
from nsi_cli.support.errors import DataError

pytestmark = pytest.mark.slow

FUZZED, INTACT, SIDE = 300, 20, 32
SKIPPED, BUILT, EITHER = "skipped", "built", "either"

ODD_WORDS = (
    "\ud800",
    "red\nblue",
    "\x00",
    "\x1b[31mcube",
    "",
    " ",
    "küb",
    "cube\u202e",
    "🐒",
    "x" * 5000,
)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**400, float("nan"), float("inf"), "7", [], {}, [[[]]], [None] * 3,
)  # fmt: skip
NUMBERS = (
    float("nan"),
    float("inf"),
    -float("inf"),
    1e300,
    -1e300,
    10**400,
    "1.0",
    None,
    True,
    [0],
)
KEYS = ("shape", "size", "material", "3d_coords", "index")


def flip(path: Path, rng: random.Random, bits: int) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(bits):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def change(writer, index: int, edit: Callable[[Any], Any]) -> None:
    """Edit a scene's JSON in place, or replace it by what ``edit`` returns."""
    data = json.loads(writer.json(index).read_text())
    edited = edit(data)
    writer.json(index).write_text(json.dumps(data if edited is None else edited))


def some_object(rng: random.Random, key: str, value: Any) -> Callable[[Any], None]:
    return lambda data: rng.choice(data["objects"]).__setitem__(key, value)


def png(width: int, height: int, depth: int, kind: int, data: bytes = b"") -> bytes:
    """Return a PNG with any header and correct checksums."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data))
            + chunk(b"IEND", b""))  # fmt: skip


def either_picture(writer, rng: random.Random, index: int) -> Path:
    return rng.choice((writer.image, writer.mask))(index)


def flipped_picture(writer, rng, index):
    flip(either_picture(writer, rng, index), rng, rng.choice((1, 2, 50)))
    return EITHER


def flipped_json(writer, rng, index):
    flip(writer.json(index), rng, rng.choice((1, 3, 20)))
    return EITHER


def truncated(writer, rng, index):
    path = rng.choice((writer.json, writer.image, writer.mask))(index)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])
    return SKIPPED


def emptied(writer, rng, index):
    rng.choice((writer.json, writer.image, writer.mask))(index).write_bytes(b"")
    return SKIPPED


def removed(writer, rng, index):
    path = either_picture(writer, rng, index)
    path.unlink()
    if rng.random() < 0.5:
        path.mkdir()  # a folder instead
    return SKIPPED


def missing_key(writer, rng, index):
    key = rng.choice(KEYS)
    change(writer, index, lambda data: rng.choice(data["objects"]).pop(key) and None)
    return SKIPPED


def odd_value(writer, rng, index):
    change(writer, index, some_object(rng, rng.choice(KEYS), rng.choice(ODD_VALUES)))
    return EITHER  # some values are valid for some keys


def odd_word(writer, rng, index):
    key = rng.choice(("shape", "size", "material"))
    change(writer, index, some_object(rng, key, rng.choice(ODD_WORDS)))
    return (
        EITHER if key == "material" and writer.release == "v2" else SKIPPED
    )  # v2 accepts any material


def odd_number(writer, rng, index):
    position = [0.0, 1.0, 0.5]
    position[rng.randrange(3)] = rng.choice(NUMBERS)
    change(writer, index, some_object(rng, "3d_coords", position))
    return SKIPPED


def odd_coordinates(writer, rng, index):
    value = rng.choice(([], [1.0], [0.0] * 4, [[0.0] * 3], "0 0 0", {"x": 1}, [0.5] * 100_000))
    change(writer, index, some_object(rng, "3d_coords", value))
    return SKIPPED


def odd_count(writer, rng, index):
    value = rng.choice((0, -3, 10**9, 10**400, "three", None, [], float("nan"), "x" * 100_000))
    change(writer, index, lambda data: data.__setitem__("num_objects", value))
    return SKIPPED


def too_many(writer, rng, index):
    count = rng.choice((11, 255, 3000))
    change(writer, index, lambda data: data.update(objects=data["objects"][:1] * count,
                                                 num_objects=count))  # fmt: skip
    return SKIPPED


def wrong_numbers(writer, rng, index):
    change(writer, index, some_object(rng, "index", rng.choice((0, 2, 77, -5, 10**30))))
    return EITHER  # object 2 may get its own index


def wrong_objects(writer, rng, index):
    value = rng.choice((None, 5, "objects", {}, [], [[]], [None], [5], ["object"]))
    change(writer, index, lambda data: data.__setitem__("objects", value))
    return SKIPPED


def wrong_root(writer, rng, index):
    change(writer, index, lambda _: rng.choice(([], 7, "scene", [{"objects": []}], True)))
    return SKIPPED


def no_json(writer, rng, index):
    text = writer.json(index).read_text()
    content = rng.choice((
        b"[" * 100_000, b'{"objects":' * 50_000, b"\xff\xfe\x00", text.encode("utf-16"),
        b"null", b"NaN", b"{}" * 2, text.encode() + b"}", b"\x00" * 64, b"1" * 10_000,
        text.replace("cube", "c\\ud800be").encode()[:-1],
    ))  # fmt: skip
    writer.json(index).write_bytes(content)
    return SKIPPED


def other_mode(writer, rng, index):
    if rng.random() < 0.5:
        Image.new(rng.choice(("1", "I;16", "LA", "RGB", "RGBA")), (320, 240)).save(
            writer.mask(index)
        )
    else:
        Image.new(rng.choice(("1", "I;16", "LA", "L", "P")), (320, 240)).save(writer.image(index))
    return SKIPPED


def other_size(writer, rng, index):
    size = rng.choice(((240, 320), (1, 1), (319, 240), (640, 480)))
    mode, path = rng.choice((("RGB", writer.image(index)), ("P", writer.mask(index))))
    Image.new(mode, size).save(path)
    return SKIPPED


def bomb(writer, rng, index):
    width, height = rng.choice(((60_000, 60_000), (2**31 - 1, 1), (0, 0), (12_000, 9_000)))
    content = png(width, height, 8, rng.choice((2, 3)), b"\0" * 1000)
    either_picture(writer, rng, index).write_bytes(content)
    return SKIPPED


def short_pixels(writer, rng, index):
    """A mask with a valid header, checksums and stream, but too few pixels."""
    writer.mask(index).write_bytes(png(320, 240, 8, 0, b"\0" * 321 * rng.choice((0, 1, 239))))
    return SKIPPED


def no_picture(writer, rng, index):
    content = rng.choice((b"GIF89a" + b"\0" * 99, b"\xff\xd8\xff\xe0" + b"\0" * 99, b"<svg/>",
                          b"\x89PNG\r\n\x1a\n", rng.randbytes(500)))  # fmt: skip
    either_picture(writer, rng, index).write_bytes(content)
    return SKIPPED


def mask_of_others(writer, rng, index):
    mask = np.asarray(Image.open(writer.mask(index))).copy()
    mask[5, 5] = rng.choice((int(mask.max()) + 1, 200, 255))
    Image.fromarray(mask).save(
        writer.mask(index)
    )  # without the short palette, which would change 200 to 8
    return SKIPPED


def object_without_pixel(writer, rng, index):
    mask = np.asarray(Image.open(writer.mask(index))).copy()
    count = int(mask.max())
    mask[mask == rng.randint(1, count)] = 0
    Image.fromarray(mask).save(writer.mask(index))
    return BUILT if count > 1 else SKIPPED  # a scene needs a visible object


def harmless(writer, rng, index):
    """Valid changes: other keys, order, spaces, colours and compression."""
    data = json.loads(writer.json(index).read_text())
    rng.shuffle(data["objects"])
    del data["relationships"], data["directions"], data["num_objects"]
    data |= {"comment": "\ud83d\ude00 ünï" * 50, "nested": [[[[{}]]]], "big": 10**300}
    writer.json(index).write_text(json.dumps(data, indent=rng.choice((None, 7))))
    mask = np.array(Image.open(writer.mask(index)))
    if rng.random() < 0.5:
        Image.fromarray(mask).save(writer.mask(index))  # plain values without a palette
    else:
        writer.write_mask(index, mask, bits=4, optimize=True)
    return BUILT


FAULTS = (
    flipped_picture, flipped_json, truncated, emptied, removed, missing_key, odd_value, odd_word,
    odd_number, odd_coordinates, odd_count, too_many, wrong_numbers, wrong_objects, wrong_root,
    no_json, other_mode, other_size, bomb, short_pixels, no_picture, mask_of_others, harmless,
    object_without_pixel,
)  # fmt: skip


@pytest.fixture(scope="module", params=["v1", "v2"])
def fuzzed(request, tmp_path_factory) -> tuple[Any, dict[int, str], dict[int, int]]:
    """A raw folder, the expected result of each scene, and its number of objects."""
    RawWriter = request.getfixturevalue("raw_writer")
    writer = RawWriter(tmp_path_factory.mktemp("fuzz"), request.param)
    rng = random.Random(20260)
    results, counts = {}, {}
    for index in range(FUZZED + INTACT):
        counts[index] = rng.randint(1, 10)
        writer.scene(index, counts[index])
        damage = FAULTS[index % len(FAULTS)]
        results[index] = damage(writer, rng, index) if index < FUZZED else BUILT
    return writer, results, counts


def build(writer, out: Path, **options: Any) -> Path:
    builder = ClevrtexBuilder(writer.raw, split_by="test")
    return build_store(builder, "clevrtex", out, BuildOptions(SIDE, **options))


@pytest.mark.slow
def test_each_scene_is_built_according_to_its_files_or_skipped_with_a_reason(
    fuzzed, boxes, tmp_path
) -> None:
    writer, results, counts = fuzzed
    store = open_store(build(writer, tmp_path / "store", max_skipped=1.0, workers=2))
    built = {int(name[-6:]): row for row, name in enumerate(store.ids("test"))}
    skipped = {int(item["scene"][-6:]): item["reason"] for item in store.build["skipped"]}
    assert built.keys() | skipped.keys() == set(range(FUZZED + INTACT))
    assert not built.keys() & skipped.keys()
    for index, result in results.items():
        assert result == EITHER or (index in built) == (result == BUILT), (
            index,
            skipped.get(index),
        )
    for index, reason in skipped.items():
        assert reason.isprintable(), reason
        assert 20 < len(reason) < 400, reason
        assert f"{index:06d}" in reason or f"mask{index}" in reason
        assert not re.search(r"\w+(Error|Exception): ", reason), reason
    labels, lengths = store.primitives("test")
    for index, row in built.items():
        data = json.loads(writer.json(index).read_text())
        frame = boxes(counts[index])
        if FAULTS[index % len(FAULTS)] is object_without_pixel and index < FUZZED:
            frame = np.asarray(Image.open(writer.mask(index)))
        shown, frame = np.unique(frame, return_inverse=True)  # renumbered
        objects = sorted(data["objects"], key=lambda item: item["index"])
        wanted = [expected(item) for item in objects if item["index"] in shown]
        assert store.schema.decode(labels[row, : lengths[row]]) == wanted
        image, mask = store.images("test", [row])[0], store.masks("test", [row])[0]
        np.testing.assert_array_equal(image, shrunk(writer.pixels(index), Image.Resampling.BICUBIC))
        nearest = shrunk(frame.reshape(240, 320).astype(np.uint8), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(mask, nearest)
    assert [verdict for verdict in check_store(store.path) if verdict.faults] == []
    assert len(skipped) > 200
    fuzzed_built = (index for index in built if index < FUZZED)
    hidden = sum(FAULTS[index % len(FAULTS)] is object_without_pixel for index in fuzzed_built)
    assert store.build["splits"]["test"]["hidden_objects"] == hidden > 5
    serial = open_store(build(writer, tmp_path / "serial", max_skipped=1.0))
    assert serial.build["files"] == store.build["files"]
    assert serial.build["skipped"] == store.build["skipped"]


def expected(item: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of an object that the store must contain."""
    words = {key: item[key].lower() if key == "material" else item[key]
             for key in ("size", "shape", "material")}  # fmt: skip
    return {**words, "position": tuple(float(np.float32(number)) for number in item["3d_coords"])}


def shrunk(pixels: np.ndarray, method: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), method))


@pytest.mark.slow
def test_too_many_faulty_scenes_fail_the_build_and_leave_no_files(fuzzed, tmp_path) -> None:
    writer, _, _ = fuzzed
    with pytest.raises(
        DataError, match=r"of 320 scenes cannot be read, and at most 0.1% may be skipped: "
    ) as result:
        build(writer, tmp_path / "out" / "store", workers=2)
    assert result.value.message.isprintable()
    assert len(result.value.message) < 3000
    assert list(tmp_path.iterdir()) == []
