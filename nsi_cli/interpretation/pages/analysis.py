"""What a report needs of a split besides its embeddings, collected in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.interpretation.pages.collect import Adds
from nsi_cli.interpretation.pages.failures.segmentation import Failures
from nsi_cli.interpretation.pages.slots.confusion import ConfusionTally
from nsi_cli.interpretation.pages.slots.gallery import GALLERY_SLOTS, value_searches
from nsi_cli.interpretation.pages.slots.ranges import RangeSearch, range_searches
from nsi_cli.interpretation.pages.slots.records import SlotRecords
from nsi_cli.interpretation.search import Search
from nsi_cli.interpretation.slot_descriptions import Reader
from nsi_cli.schema import Schema


@dataclass(frozen=True)
class Analysis:
    """The collectors of one pass; each has its results after the pass."""

    searches: Sequence[Search]
    range_searches: Sequence[RangeSearch]
    confusions: ConfusionTally
    records: SlotRecords
    failures: Failures
    excluded: Sequence[str]

    @classmethod
    def of(cls, schema: Schema, seen: Schema, encode: EncodePrimitives, reader: Reader) -> Analysis:
        """New collectors; ``seen`` is the schema with the range of the split's values as bounds."""
        excluded = reader.excluded
        return cls(
            searches=value_searches(schema, seen, encode, GALLERY_SLOTS, excluded),
            range_searches=range_searches(schema, seen, encode, excluded),
            confusions=ConfusionTally(schema, reader),
            records=SlotRecords(),
            failures=Failures(),
            excluded=excluded,
        )

    @property
    def collectors(self) -> list[Adds]:
        """Everything that batches are added to."""
        ranges = [found.search for found in self.range_searches]
        return [*self.searches, *ranges, self.confusions, self.records, self.failures]
