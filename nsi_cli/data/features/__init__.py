"""The cache of the frozen backbone's features."""
