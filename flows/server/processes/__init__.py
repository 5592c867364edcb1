"""The service's processes: how they are started, watched and found healthy."""
