"""Frozen backbones: images to tokens."""
