"""One file a stage. A task reads refs, calls `less_core`, writes, and returns a ref; the store decides what is done."""
