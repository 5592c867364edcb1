"""The command line: `less-flow` and what its commands print."""
