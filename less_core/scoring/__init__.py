"""Scores of examples: from features or words, by LESS or a baseline, and why a score is what it is."""
