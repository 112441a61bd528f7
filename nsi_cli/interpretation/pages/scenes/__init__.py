"""The parts of a report about one scene each."""
