"""Maintenance of a store and its results: integrity checks and garbage collection."""
