"""What all reports share: drawing, pages, inline text, and the wording of numbers."""
