"""The image encoder, the schema encoder and what ties them: one file a role."""
