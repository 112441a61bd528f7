"""Images of the user's own: read, cropped, and put through a model."""
