"""Synthetic scenes have the dataset's files, CLEVR's geometry and reproducible bytes."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from nsi_clevrtex.synthetic import MATERIALS, render_scenes
from nsi_clevrtex.synthetic.materials import RECIPES
from nsi_clevrtex.synthetic.placement import SIZES, relationships
from nsi_clevrtex.synthetic.textures import BASE, PATTERNS, texture
from PIL import Image

COUNT = 10

SCENE_KEYS = {
    "num_objects", "split", "image_index", "image_filename", "ground_material", "directions",
    "objects", "relationships", "mask_filename", "normal_filename", "albedo_filename",
    "depth_filename", "shadow_filename",
}  # fmt: skip
OBJECT_KEYS = {
    "shape", "rotation", "size", "3d_coords", "pixel_coords", "index", "color", "material",
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    render_scenes(folder, COUNT, seed=7)
    return folder


@pytest.fixture(scope="module")
def scenes(raw: Path) -> list[tuple[dict, np.ndarray, np.ndarray]]:
    """Each scene as (JSON, image (240, 320, 3), mask (240, 320))."""
    return [_read(raw / "clevrtex_full" / "0" / f"CLEVRTEX_full_{i:06d}") for i in range(COUNT)]


def _read(stem: Path) -> tuple[dict, np.ndarray, np.ndarray]:
    scene = json.loads(stem.with_suffix(".json").read_text())
    image = np.asarray(Image.open(stem.parent / scene["image_filename"]))
    return scene, image, np.asarray(Image.open(stem.parent / scene["mask_filename"]))


def _all_bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_v1_has_three_files_per_scene_in_one_folder(raw: Path) -> None:
    names = {path.name for path in (raw / "clevrtex_full" / "0").iterdir()}
    endings = (".png", "_flat.png", ".json")
    assert names == {f"CLEVRTEX_full_{i:06d}{end}" for i in range(COUNT) for end in endings}


def test_v2_has_a_folder_per_scene_and_stems_in_the_json(tmp_path: Path) -> None:
    render_scenes(tmp_path, 1, seed=7, release="v2")
    folder = tmp_path / "clevrtexv2_full" / "0" / "CLEVRTEXv2_full_000000"
    scene = json.loads((folder / "CLEVRTEXv2_full_000000.json").read_text())
    assert scene["image_filename"] + "0003.png" == "CLEVRTEXv2_full_000000_0003.png"
    assert Image.open(folder / "CLEVRTEXv2_full_000000_0003.png").mode == "RGB"
    assert Image.open(folder / f"{scene['mask_filename']}_0003.png").mode == "P"
    assert len(list(folder.iterdir())) == 3


def test_images_are_rgb_and_masks_contain_object_indices(raw: Path, scenes: list) -> None:
    stem = raw / "clevrtex_full" / "0" / "CLEVRTEX_full_000000"
    with Image.open(f"{stem}.png") as image, Image.open(f"{stem}_flat.png") as mask:
        assert (image.mode, image.size) == ("RGB", (320, 240))
        assert (mask.mode, mask.size) == ("P", (320, 240))
    for scene, _, mask in scenes:
        assert set(np.unique(mask)) == set(range(scene["num_objects"] + 1))


def test_json_has_every_key_of_the_dataset(scenes: list) -> None:
    for index, (scene, _, _) in enumerate(scenes):
        assert set(scene) == SCENE_KEYS
        assert (scene["image_index"], scene["split"]) == (index, "full")
        assert scene["num_objects"] == len(scene["objects"])
        assert [item["index"] for item in scene["objects"]] == list(
            range(1, scene["num_objects"] + 1)
        )
        for item in scene["objects"]:
            assert set(item) == OBJECT_KEYS
            assert item["material"] in MATERIALS
            assert item["material"] != scene["ground_material"]


def test_every_object_is_visible_at_its_coordinates_in_the_json(scenes: list) -> None:
    for scene, _, mask in scenes:
        for item in scene["objects"]:
            rows, columns = np.nonzero(mask == item["index"])
            assert rows.size > 200
            x, y, depth = item["pixel_coords"]
            reach = 1.6 * SIZES[item["size"]] * 350 / depth + 1  # for a cylinder, the largest
            assert np.hypot(columns - x, rows - y).max() < reach
            assert mask[y, x] != 0  # the object, or one in front of it


def test_objects_keep_their_distance_on_the_ground(scenes: list) -> None:
    for scene, _, _ in scenes:
        assert 3 <= scene["num_objects"] <= 10
        axes = np.array([scene["directions"][name] for name in ("behind", "left")])
        for item in scene["objects"]:
            x, y, z = item["3d_coords"]
            height = SIZES[item["size"]] / (np.sqrt(2) if item["shape"] == "cube" else 1)
            assert max(abs(x), abs(y)) < 3
            assert z == pytest.approx(height)
        for one, other in combinations(scene["objects"], 2):
            away = np.subtract(one["3d_coords"], other["3d_coords"]) * (1, 1, 0)
            assert np.linalg.norm(away) >= SIZES[one["size"]] + SIZES[other["size"]] + 0.25
            assert (np.abs(axes @ away) >= 0.4).all()


def test_relationships_follow_the_directions() -> None:
    centres = [(0.0, 0.0, 0.4), (1.0, 0.1, 0.4)]
    across = {"left": (-1, 0, 0), "right": (1, 0, 0), "behind": (0, 1, 0), "front": (0, -1, 0)}
    related = relationships(centres, across)
    assert related == {"behind": [[], []], "front": [[], []], "left": [[], [0]], "right": [[1], []]}


@pytest.mark.slow
def test_bytes_depend_only_on_seed_and_index(raw: Path, tmp_path: Path) -> None:
    advances: list[int] = []
    render_scenes(tmp_path / "two", COUNT + 8, seed=7, workers=2, advance=advances.append)
    render_scenes(tmp_path / "other", 1, seed=8)
    once, again = _all_bytes(raw), _all_bytes(tmp_path / "two")
    assert {name: again[name] for name in once} == once
    assert sum(advances) == COUNT + 8
    name = str(Path("clevrtex_full", "0", "CLEVRTEX_full_000000.png"))
    assert _all_bytes(tmp_path / "other")[name] != once[name]


@pytest.mark.parametrize(
    ("variant", "ground", "object_materials"),
    [
        ("pbg", {"tabularasa"}, set(MATERIALS)),
        ("vbg", set(MATERIALS), {"rubber", "mymetal"}),
        ("grassbg", {"poliigongroundforest003"}, set(MATERIALS)),
    ],
)
def test_variants_choose_their_materials(
    tmp_path: Path, variant: str, ground: set[str], object_materials: set[str]
) -> None:
    render_scenes(tmp_path, 1, seed=1, variant=variant)
    scene, _, _ = _read(tmp_path / f"clevrtex_{variant}" / "0" / f"CLEVRTEX_{variant}_000000")
    assert scene["ground_material"] in ground
    assert {item["material"] for item in scene["objects"]} <= object_materials


def test_camo_has_one_material_everywhere(tmp_path: Path) -> None:
    render_scenes(tmp_path, 1, seed=1, variant="camo")
    scene, _, _ = _read(tmp_path / "clevrtex_camo" / "0" / "CLEVRTEX_camo_000000")
    assert {item["material"] for item in scene["objects"]} == {scene["ground_material"]}


def test_materials_and_objects_can_be_limited(tmp_path: Path) -> None:
    chosen = MATERIALS[:4]
    render_scenes(tmp_path, 2, seed=1, materials=chosen, max_objects=3)
    for index in range(2):
        scene, _, _ = _read(tmp_path / "clevrtex_full" / "0" / f"CLEVRTEX_full_{index:06d}")
        assert scene["num_objects"] == 3
        assert {item["material"] for item in scene["objects"]} <= set(chosen)


def test_there_are_sixty_materials_and_each_pattern_is_used() -> None:
    assert len(MATERIALS) == 60
    assert {recipe.pattern for recipe in RECIPES.values()} == set(PATTERNS) - {"plain"}


@pytest.mark.slow
def test_no_two_materials_look_alike() -> None:
    looks = {name: _look(name) for name in MATERIALS}
    alike = [
        (one, other)
        for one, other in combinations(MATERIALS, 2)
        if np.linalg.norm(looks[one] - looks[other]) < 0.06
    ]
    assert alike == []


def _look(name: str) -> np.ndarray:
    """Return mean and spread of the colours, and contrasts at three scales along both axes."""
    image = texture(name).texels[:, : BASE**2].reshape(3, BASE, BASE) ** 0.5
    grey = image.mean(axis=0)
    steps = [np.abs(grey - np.roll(grey, n, axis)).mean() for n in (1, 4, 16) for axis in (0, 1)]
    return np.concatenate([image.mean(axis=(1, 2)), image.std(axis=(1, 2)), steps])


@pytest.mark.parametrize(
    "wrong",
    [
        {"release": "v3"},
        {"variant": "outd"},
        {"materials": ["velvet"]},
        {"materials": []},
        {"max_objects": 2},
        {"max_objects": 11},
        {"count": -1},
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must|none of|unknown"):
        render_scenes(tmp_path, **{"count": 1, "seed": 0, **wrong})
