"""The exception tree. A `LessError` is deterministic: trying again cannot help, so no task retries it."""


class LessError(Exception):
    """Base of every error this project raises on purpose.

    The message reads ``where: expected X, got Y. Do Z.``
    """

    def __init__(self, where: str, expected: str, got: str, do: str) -> None:
        self.where = where
        super().__init__(f"{where}: expected {expected}, got {got}. {do}")

    def __reduce__(self) -> tuple[object, ...]:  # the four parts do not survive pickling through `args`
        return (_restore, (type(self), self.where, str(self)))


def _restore(kind: type[LessError], where: str, message: str) -> LessError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.where = where
    return error


class ConfigError(LessError):
    """A setting is missing, unknown, out of bounds or at odds with another."""


class DataError(LessError):
    """A pool or a target cannot be read, or a row of it is not an example."""


class MissingArtifactError(LessError):
    """A file that an earlier stage should have left is not there."""


class CorruptArtifactError(LessError):
    """A file of the store does not verify, or does not hold what its name says."""


class NonFiniteGradientError(LessError):
    """Nothing finite is left where at least one finite gradient is needed."""


class OutOfMemoryError(LessError):
    """A single example does not fit in memory."""
