from __future__ import annotations

import json

from nsi_cli.interpretation.pages.curves import HEIGHT, MOST_POINTS, WIDTH, training_curves


def write(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_curve_has_a_line_for_training_and_one_for_validation(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(
        path,
        [
            {"kind": "train", "step": 0, "contrastive": 4.0},
            {"kind": "train", "step": 50, "contrastive": 2.0},
            {"kind": "val", "step": 100, "contrastive": 1.0, "R@1": 0.5},
        ],
    )
    (curve,) = training_curves(path)  # one value of R@1 is no curve
    assert [(line.kind, line.last) for line in curve.lines] == [("train", 2.0), ("val", 1.0)]
    points = [tuple(map(float, point.split(","))) for point in curve.lines[0].points.split()]
    assert [x for x, _ in points] == [0, WIDTH / 2]
    assert points[0][1] == 0
    assert abs(points[1][1] - HEIGHT * (1 - 2 / curve.high)) < 0.06


def test_damaged_lines_and_losses_that_are_not_finite_are_left_out(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [{"kind": "train", "step": step, "contrastive": 1.0} for step in range(3)])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "train", "step": 3, "contrastive": NaN}\n[1]\n{"kind": "tr')
    (curve,) = training_curves(path)
    assert curve.steps == 2
    assert training_curves(tmp_path / "away.jsonl") == []


def test_a_long_training_is_drawn_with_means(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(
        path,
        [{"kind": "train", "step": n, "R@1": n % 2} for n in range(4 * MOST_POINTS)],
    )
    (curve,) = training_curves(path)
    points = curve.lines[0].points.split()
    assert len(points) == MOST_POINTS
    assert {point.split(",")[1] for point in points} == {f"{HEIGHT / 2:.1f}"}
