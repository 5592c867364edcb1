"""Care for a store and its results: what is damaged, and what no version needs."""
