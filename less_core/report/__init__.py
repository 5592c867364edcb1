"""The report of a run: one summary of plain values, shown as HTML, as Markdown and as pictures."""
