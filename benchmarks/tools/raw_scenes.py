"""Raw scenes for the other benchmarks: a few rendered scenes, multiplied by hard links."""

from __future__ import annotations

import os
from pathlib import Path

from nsi_clevrtex.builder import ClevrtexBuilder

RENDERED = 200
STEM = "CLEVRTEX_full_"


def make_raw(folder: Path, count: int) -> Path:
    """Make a raw folder of CLEVRTex v1 with ``count`` scenes, of which `RENDERED` are distinct."""
    rendered, raw = folder / "rendered", folder / f"raw-{count}"
    ClevrtexBuilder(rendered).synthesize(RENDERED, seed=0, workers=2)
    raw.mkdir()
    os.link(rendered / "synthetic.json", raw / "synthetic.json")
    for index in range(count):
        source = rendered / "clevrtex_full" / "0" / f"{STEM}{index % RENDERED:06d}"
        target = raw / "clevrtex_full" / str(index // 1000) / f"{STEM}{index:06d}"
        target.parent.mkdir(parents=True, exist_ok=True)
        for ending in (".json", ".png", "_flat.png"):
            os.link(f"{source}{ending}", f"{target}{ending}")
    return raw
