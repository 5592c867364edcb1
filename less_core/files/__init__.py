"""Files of any kind: written whole or not at all, Parquet with checksums, object stores, locks, content addresses."""
