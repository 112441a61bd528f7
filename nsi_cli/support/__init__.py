"""Modules that every package uses: errors, files, options, processes, progress."""
