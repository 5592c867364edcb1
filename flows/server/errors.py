"""Errors of the Prefect server and of what runs beside it."""

from less_core.errors import LessError


class ServerError(LessError):
    """A server does not answer, or a process of the service did not start or stay up."""
