"""Pictures of stores: the summary of a build, and the contact sheet of a check."""
