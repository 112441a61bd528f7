"""Neural Slot Interpreters: ground object semantics in the slots of an image encoder."""

__version__ = "0.1.0"
