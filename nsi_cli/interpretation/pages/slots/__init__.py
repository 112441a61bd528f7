"""The parts of a report about the slots of all scenes."""
