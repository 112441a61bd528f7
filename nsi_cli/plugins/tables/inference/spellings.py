"""Categories that are spelt in more than one way."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

_LONG = 300  # different words; more are not compared for typing errors
_RARE = 0.02  # of the rows that the likely right spelling has
_CLOSE = 0.85


def near_duplicates(words: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return groups of words that are probably one value, the most frequent word first.

    They differ in letter case, spaces, hyphens or underscores ("Red", "red"), or one is rare and
    close to a frequent one ("cyclinder", "cylinder"). ``words`` has the number of rows of each.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for text in words:
        by_key[re.sub(r"[\s_-]+", " ", text).casefold()].append(text)
    _add_typing_errors(by_key, words)
    return [
        tuple(sorted(group, key=lambda text: (-words[text], text)))
        for group in by_key.values()
        if len(group) > 1
    ]


def _add_typing_errors(by_key: dict[str, list[str]], words: Mapping[str, int]) -> None:
    """Move each rare word to the group of a frequent word that is close to it."""
    if len(by_key) > _LONG:
        return
    counts = Counter({key: sum(words[text] for text in group) for key, group in by_key.items()})
    for key, count in counts.items():
        if len(key) < 4 or any(letter.isdigit() for letter in key):
            continue
        frequent = [other for other in counts if count <= _RARE * counts[other]]
        for near in get_close_matches(key, frequent, n=1, cutoff=_CLOSE):
            by_key[near] += by_key.pop(key)


def merged(groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Map each spelling to the most frequent one of its group."""
    return {text: group[0] for group in groups for text in group[1:]}
