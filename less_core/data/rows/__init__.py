"""Rows as they stand in files: which files, in what formats, and the shapes of what is in them."""
