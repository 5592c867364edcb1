"""The formats of the files in a store and in results, one module for each kind."""
