"""Methods side by side: outcomes, pictures, Markdown and words."""
