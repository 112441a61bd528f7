"""The summary of a store, written into its folder as JSON and as a figure."""

from __future__ import annotations

from nsi_cli.data.store.reader import Store
from nsi_cli.data.store.summary import FIGURE, SUMMARY, summarize
from nsi_cli.interpretation.stores.summary_figure import draw_summary
from nsi_cli.support.files import replacing, write_json
from nsi_cli.support.progress import Progress

_NEEDED = {
    "val": "nsi train selects the best checkpoint on it",
    "test": "nsi eval evaluates on it",
}


def write_summary(store: Store, progress: Progress) -> None:
    """Write ``summary.json`` and ``summary.png``.

    Notes a warning if the store has a train split but no val or test split.
    """
    summary = summarize(store)
    write_json(store.path / SUMMARY, summary)
    with replacing(store.path / FIGURE) as temporary:
        draw_summary(summary, store.task).savefig(temporary, format="png")
    for split, why in _NEEDED.items():
        if "train" in store.splits and split not in store.splits:
            progress.note(
                f"warning: the store has no split '{split}' ({why}); assign some scenes to it in "
                "the raw data, or look for an option that divides the scenes differently: "
                f"nsi build-data {store.task} --help"
            )
