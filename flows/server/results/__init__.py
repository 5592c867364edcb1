"""The server of results: reports and selected rows to look at, and a page of all selections."""
