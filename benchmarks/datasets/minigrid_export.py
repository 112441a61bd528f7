"""Record MiniGrid frames as a raw folder for the tasks ``table`` and ``coco``.

    python benchmarks/datasets/minigrid_export.py FOLDER --frames 1000

It needs minigrid (pip install minigrid). An object's mask is its cell.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from raw_folder import RawFolder

sys.path.insert(0, str(Path(__file__).parent / "minigrid"))
from nsi_minigrid.recording import TILE, record


def main() -> None:
    parser = argparse.ArgumentParser(description="Record MiniGrid frames.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--env", default="BabyAI-GoToLocal-v0")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = RawFolder(options.folder, masked=True)
    for image, objects in record(options.env, options.frames, options.seed):
        cells = [(item, [TILE * int(index) for index in item["cell"]]) for item in objects]
        folder.add(
            image,
            [
                ({"color": item["color"], "type": item["type"]}, (x, y, TILE, TILE))
                for item, (x, y) in cells
            ],
        )
    folder.write()


if __name__ == "__main__":
    main()
