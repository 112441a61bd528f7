"""The models: image encoder, schema encoder and alignment, one file per role."""
