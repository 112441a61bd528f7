"""The feature cache: computed once, resumed after an interruption, safe on a full disk."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.filesize import decimal

from nsi_cli.data.features.cache import FeatureCache, cache_for, check_cache_space
from nsi_cli.data.features.fill import fill
from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import Progress

TOKENS, CHANNELS = 4, 3


def encode(images: np.ndarray) -> np.ndarray:
    """Features that tell scene, token and channel apart."""
    scene = images[:, 0, 0, :1, None].astype(np.float16)
    return scene + np.arange(TOKENS * CHANNELS).reshape(TOKENS, CHANNELS).astype(np.float16) / 16


def _cache(store: Store, backbone: str = "texture") -> FeatureCache:
    return cache_for(store, backbone, TOKENS, CHANNELS)


def _fill(store: Store, how: Callable[[np.ndarray], np.ndarray] = encode) -> FeatureCache:
    cache = _cache(store)
    fill(cache, store, list(store.splits), how, at_once=2)
    return cache


def test_it_holds_the_features_of_the_backbone(store: Store) -> None:
    cache = _fill(store)
    for split in store.splits:
        everything = np.arange(store.count(split))
        wanted = encode(store.images(split, everything))
        np.testing.assert_array_equal(cache.read(split, everything), wanted)
        np.testing.assert_array_equal(cache.read(split, everything[::-2]), wanted[::-2])
        loaded = np.load(cache.folder / f"{split}.npy", allow_pickle=False)
        assert (loaded.dtype, loaded.shape) == (np.float16, (len(everything), TOKENS, CHANNELS))


def test_complete_features_are_not_computed_again(store: Store) -> None:
    _fill(store)
    _fill(store, lambda images: pytest.fail("computed again"))


class InterruptedHere(Exception):
    """Stands for an interruption."""


def test_an_interrupted_filling_is_resumed(store: Store) -> None:
    seen: list[int] = []

    def interrupted(images: np.ndarray) -> np.ndarray:
        if len(seen) == 6:
            raise InterruptedHere
        seen.extend(images[:, 0, 0, 0].tolist())
        return encode(images)

    with pytest.raises(InterruptedHere):
        _fill(store, interrupted)
    assert not _cache(store).has("train", 11)
    again: list[int] = []

    def watched(images: np.ndarray) -> np.ndarray:
        again.extend(images[:, 0, 0, 0].tolist())
        return encode(images)

    cache = _fill(store, watched)
    assert (seen, again) == ([*range(6)], [*range(6, 14)])
    np.testing.assert_array_equal(
        cache.read("train", np.arange(11)), encode(store.images("train", range(11)))
    )
    assert {path.name for path in cache.folder.iterdir()} == {
        ".lock", "features.json", "train.npy", "test.npy",
    }  # fmt: skip


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from nsi_cli.data.features.cache import cache_for
from nsi_cli.data.features.fill import fill
from nsi_cli.data.store.reader import open_store
store = open_store(Path(sys.argv[1]))
def encode(images):
    if images[0, 0, 0, 0] == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    scene = images[:, 0, 0, :1, None].astype(np.float16)
    return scene + np.arange(12).reshape(4, 3).astype(np.float16) / 16
cache = cache_for(store, "texture", 4, 3)
fill(cache, store, ["train", "test"], encode, at_once=2)
"""


@pytest.mark.slow
def test_a_killed_filling_is_resumed(store: Store) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.path)], check=False)
    assert killed.returncode == -9
    seen: list[int] = []

    def watched(images: np.ndarray) -> np.ndarray:
        seen.extend(images[:, 0, 0, 0].tolist())
        return encode(images)

    cache = _fill(store, watched)
    assert seen in ([*range(4, 14)], [*range(6, 14)])  # the last write may be incomplete
    np.testing.assert_array_equal(
        cache.read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


SLOW = (
    KILLED.replace("images[0, 0, 0, 0] == 6", "print(flush=True)")
    .replace("    scene =", "    time.sleep(0.01)\n    scene =")
    .replace("import os", "import os, time")
)


@pytest.mark.slow
def test_a_filling_that_is_killed_again_and_again_ends_with_the_same_bytes(
    make_store: Callable[..., Store],
) -> None:
    sizes = {"train": 61, "test": 20}
    store, undisturbed = make_store(**sizes), make_store(**sizes, name="undisturbed")
    fill(_cache(undisturbed), undisturbed, ["train", "test"], encode, at_once=2)
    moments = np.random.default_rng(0).uniform(0, 0.06, 12)
    kills = 0
    for moment in moments:
        filling = subprocess.Popen([sys.executable, "-c", SLOW, str(store.path)],
                                   stdout=subprocess.PIPE)  # fmt: skip
        assert filling.stdout is not None
        filling.stdout.read(1)  # it is at work
        time.sleep(moment)
        filling.kill()
        filling.communicate()
        kills += filling.returncode == -9
    assert kills >= 5
    cache = _fill(store)
    for split in sizes:
        assert cache.path(split).read_bytes() == _cache(undisturbed).path(split).read_bytes()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100])
def test_a_partial_file_with_another_header_is_replaced(store: Store, content: bytes) -> None:
    cache = _cache(store)
    cache.folder.mkdir(parents=True)
    cache.part("train").write_bytes(content)
    np.testing.assert_array_equal(
        _fill(store).read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


def test_another_backbone_or_other_images_have_another_cache(
    make_store: Callable[..., Store],
) -> None:
    store, other = make_store(), make_store(train=5, name="other")
    folders = {
        _cache(store).folder.name,
        _cache(store, "vit").folder.name,
        _cache(other).folder.name,
    }
    assert len(folders) == 3
    again = make_store(name="again")
    assert _cache(again).folder.name == _cache(store).folder.name  # equal images


def test_the_size_is_noted_once(store: Store) -> None:
    notes: list[str] = []

    class Noting(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    cache = _cache(store)
    size = decimal(cache.bytes_of(store.count("train")))
    for _ in range(2):
        fill(cache, store, ["train"], encode, at_once=2, progress=Noting())
    assert notes == [f"features: {size} in {cache.folder}"]


def test_a_damaged_cache_is_an_error(store: Store) -> None:
    cache = _fill(store)
    os.truncate(cache.path("train"), 300)
    with pytest.raises(DataError, match="ends too early") as caught:
        cache.read("train", np.array([0, 10]))
    assert "remove" in caught.value.hint


def _other_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:128] = bytes(data[:128]).replace(b"(11,", b"(12,")
    path.write_bytes(data)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["train.npy", "features.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size // 2),
        _other_header,
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    ],
    ids=["cut", "another header", "zeros", "a folder", "a named pipe", "an endless device"],
)
def test_a_file_that_is_no_cache_is_an_error_before_it_is_used(
    store: Store, name: str, damage: Callable[[Path], object]
) -> None:
    path = _fill(store).folder / name
    if name == "features.json" and damage is _other_header:
        path.write_text("[]")
    damage(path)
    with pytest.raises(DataError, match="feature cache") as caught:
        _fill(store)
    assert "remove" in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["train.npy.part", "train.npy.done", ".lock"])
def test_a_named_pipe_at_the_path_of_a_written_file_does_not_block(store: Store, name: str) -> None:
    cache = _cache(store)
    cache.folder.mkdir(parents=True)
    os.mkfifo(cache.folder / name)
    _fill(store)
    np.testing.assert_array_equal(
        cache.read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


def test_a_cache_of_another_shape_is_refused(store: Store) -> None:
    _fill(store)
    with pytest.raises(DataError, match="belongs to another backbone") as caught:
        cache_for(store, "texture", TOKENS, CHANNELS + 1)
    assert "remove" in caught.value.hint


def test_features_that_do_not_fit_are_an_error_not_a_broadcast(store: Store) -> None:
    with pytest.raises(ValueError, match=r"features of shape \(2, 1, 3\) do not fit"):
        _fill(store, lambda images: encode(images)[:, :1])


def _needs(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Check that the features need ``size`` bytes of the disk, and no byte more."""
    for free in (size - 1, size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        error = "the disk is full: the feature cache needs"
        with pytest.raises(DataError, match=error) if free < size else nullcontext() as caught:
            check_cache_space(_cache(store), store, ["train", "test"])
        assert caught is None or "--feature-cache off" in caught.value.hint


def test_a_disk_without_room_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _needs(store, monkeypatch, 2 * 14 * TOKENS * CHANNELS)


def test_features_that_are_on_the_disk_need_no_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _fill(store)
    cache.path("train").rename(cache.part("train"))
    cache.marks("train").write_bytes(b"\1" * 4)
    _needs(store, monkeypatch, 2 * (11 - 4) * TOKENS * CHANNELS)


FULL_DISK = """
import json, os, resource, signal, sys
from pathlib import Path
import numpy as np
from nsi_cli.data.features.fill import fill
from nsi_cli.data.features.cache import cache_for
from nsi_cli.data.store.reader import open_store
from nsi_cli.support.errors import NsiError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
store = open_store(Path(sys.argv[1]))
cache = cache_for(store, "texture", 4, 3)
def encode(images):
    scene = images[:, 0, 0, :1, None].astype(np.float16)
    return scene + np.arange(12).reshape(4, 3).astype(np.float16) / 16
try:
    fill(cache, store, ["train"], encode, at_once=2)
except NsiError as error:
    print(json.dumps([error.message, error.hint]))
"""


def test_a_disk_that_fills_is_an_error_and_the_filling_is_resumed(store: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    message, hint = json.loads(done.stdout)
    cache = _cache(store)
    assert message == f"cannot write {cache.part('train')}: the disk is full"
    assert "--feature-cache" in hint
    assert not cache.path("train").exists()
    np.testing.assert_array_equal(
        _fill(store).read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


def test_a_path_that_cannot_be_written_is_an_error(store: Store) -> None:
    (store.path / "features").write_text("in the way")
    with pytest.raises(DataError, match="cannot write") as caught:
        _fill(store)
    assert "--feature-cache" in caught.value.hint


TOGETHER = KILLED.replace(
    "    if images[0, 0, 0, 0] == 6:\n        os.kill(os.getpid(), signal.SIGKILL)\n",
    "    print(*images[:, 0, 0, 0], flush=True)\n    time.sleep(0.05)\n",
).replace("import os", "import os, time").replace(
    "fill(cache", "print(flush=True)\nsys.stdin.read(1)\nfill(cache"
)  # fmt: skip


@pytest.mark.slow
def test_two_processes_share_the_scenes_and_compute_each_once(
    make_store: Callable[..., Store],
) -> None:
    sizes = {"train": 21, "test": 8}
    store, alone = make_store(**sizes), make_store(**sizes, name="alone")
    fill(_cache(alone), alone, ["train", "test"], encode, at_once=2)
    started = [
        subprocess.Popen([sys.executable, "-c", TOGETHER, str(store.path)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # it is ready
    for process in started:
        assert process.stdin is not None
        process.stdin.write("!")
        process.stdin.flush()
    seen = [process.communicate()[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert all(seen)
    assert sorted(map(int, seen[0] + seen[1])) == [*range(29)]
    for split in sizes:
        assert _cache(store).path(split).read_bytes() == _cache(alone).path(split).read_bytes()


def test_several_threads_compute_each_scene_once(store: Store) -> None:
    seen: list[int] = []

    def watched(images: np.ndarray) -> np.ndarray:
        seen.extend(images[:, 0, 0, 0].tolist())
        return encode(images)

    fill(_cache(store), store, ["train", "test"], watched, at_once=2, workers=3)
    assert sorted(seen) == [*range(14)]
    np.testing.assert_array_equal(
        _cache(store).read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


@pytest.mark.parametrize("part", [(0, 2), (1, 2)])
def test_a_process_that_is_left_alone_computes_the_parts_of_the_others(
    store: Store, part: tuple[int, int]
) -> None:
    fill(_cache(store), store, ["train"], encode, at_once=2, part=part)
    np.testing.assert_array_equal(
        _cache(store).read("train", np.arange(11)), encode(store.images("train", range(11)))
    )


def test_room_is_checked_on_the_disk_of_the_cache(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: asked.append(path) or type("Usage", (), {"free": 10**9})
    )
    (tmp_path / "fast").mkdir()
    cache = cache_for(store, "texture", TOKENS, CHANNELS, root=tmp_path / "fast" / "cache")
    check_cache_space(cache, store, ["train"])
    assert asked == [tmp_path / "fast"]
