"""The page that shows the images found by queries, each with its best slot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nsi_cli import __version__
from nsi_cli.interpretation.colours import SLOT_COLOURS
from nsi_cli.interpretation.pages.pictures import mask_uri, photo_uri
from nsi_cli.interpretation.pages.report import Heading, page_environment
from nsi_cli.interpretation.search import Retrieved
from nsi_cli.support.files import replacing


def write_query_page(path: Path, found: Sequence[Retrieved], heading: Heading) -> Path:
    """Write the results of queries as a self-contained page. Raises `DataError` if it fails."""
    template = page_environment().get_template("queries.html.j2")
    page = template.render(
        heading=heading,
        version=__version__,
        colours=SLOT_COLOURS,
        found=found,
        photos=[[photo_uri(image) for image in one.images] for one in found],
        masks=[
            [mask_uri(match.mask / max(match.mask.max(), 1e-9)) for match in one.matches]
            for one in found
        ],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path
