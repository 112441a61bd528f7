"""Processes that share a batch find together the gradient that one finds alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

SCRIPT = Path(__file__).with_name("joint_gradients.py")
Gradients = dict[str, Tensor]


def gradients(folder: Path, processes: int) -> Gradients:
    out = folder / f"{processes}.safetensors"
    start = [] if processes == 1 else [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *start, str(SCRIPT), str(out)], check=False, timeout=240,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return load_file(out)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Gradients:
    return gradients(tmp_path_factory.mktemp("alone"), 1)


def of_case(result: Gradients, case: str) -> Gradients:
    found = {key.removeprefix(case): value for key, value in result.items() if key.startswith(case)}
    assert found
    return found


def assert_close(one: Gradients, other: Gradients) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value.dtype == torch.float64 or value.ndim == 0
        torch.testing.assert_close(value, other[key], rtol=1e-5, atol=1e-9, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_find_the_gradient_of_the_joint_batch(
    processes: int, alone: Gradients, tmp_path: Path
) -> None:
    assert_close(gradients(tmp_path, processes), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "whole"),
    [
        ("accumulated/", "plain/"),
        ("one by one/", "plain/"),
        ("by threes/", "plain/"),
        ("absent attended, accumulated/", "absent attended/"),
        ("sampled, accumulated/", "sampled/"),
        ("all sampled/", "plain/"),
    ],
)
def test_a_batch_put_through_in_pieces_has_the_gradient_of_the_whole(
    case: str, whole: str, alone: Gradients
) -> None:
    assert_close(of_case(alone, case), of_case(alone, whole))


@pytest.mark.slow
def test_absent_primitives_that_are_attended_to_change_the_gradient(alone: Gradients) -> None:
    attended, plain = of_case(alone, "absent attended/"), of_case(alone, "plain/")
    assert attended["contrastive"] != pytest.approx(plain["contrastive"])


@pytest.mark.slow
def test_a_sample_of_tokens_changes_the_reconstruction_only(alone: Gradients) -> None:
    sampled, plain = of_case(alone, "sampled/"), of_case(alone, "plain/")
    assert sampled["reconstruction"] != pytest.approx(plain["reconstruction"])
    assert sampled["contrastive"] == plain["contrastive"]


@pytest.mark.slow
def test_scenes_without_annotation_are_reconstructed_and_not_contrasted(alone: Gradients) -> None:
    half, none = of_case(alone, "half annotated/"), of_case(alone, "none annotated/")
    assert half["reconstruction"] == none["reconstruction"] > 0
    assert half["contrastive"] > 0
    assert none["contrastive"] == 0
    schema_encoder = [value for key, value in none.items() if key.startswith("schema_encoder")]
    assert all(not value.any() for value in schema_encoder)


@pytest.mark.slow
def test_without_the_contrast_only_the_image_is_learned(alone: Gradients) -> None:
    result = of_case(alone, "ungrounded/")
    assert result["loss"] == pytest.approx(result["reconstruction"])
    assert result["contrastive"] > 0  # still told
    learned = {key.split(".")[0] for key, value in result.items() if "." in key and value.any()}
    assert learned == {"image_encoder"}
