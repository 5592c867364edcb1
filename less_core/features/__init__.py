"""Rows of numbers from examples: projected gradients, hidden states, whole gradients of targets, and what each method needs."""
