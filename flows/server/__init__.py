"""The service: server, worker and results, started and watched by one command, and how other commands find them."""
