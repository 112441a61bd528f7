"""The parts of a report about what goes wrong."""
