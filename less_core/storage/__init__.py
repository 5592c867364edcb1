"""What is on disk: where it stands, how it is written whole or not at all, how it is verified."""
