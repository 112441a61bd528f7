"""What every part uses: errors, files, options, processes, progress."""
