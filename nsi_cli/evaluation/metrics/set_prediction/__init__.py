"""Set prediction: what the slots of a scene show, compared with its objects."""
