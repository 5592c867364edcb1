"""Every setting: of a selection, of a comparison, of a sweep, and how they are read from a file."""
