"""Text that two sets of examples share: copies of target examples in a pool."""
