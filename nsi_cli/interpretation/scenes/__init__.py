"""The scenes of a split with their slots, and retrieval with whole scenes."""
