"""What changed since the last version, as Markdown and in words."""
