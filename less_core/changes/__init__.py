"""Differences between two versions of a selection."""
