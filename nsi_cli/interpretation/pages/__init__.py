"""The pages: the report of a run, and the answers to queries."""
