"""The exception tree. A `LessError` is deterministic: trying again cannot help, so no task retries it."""


class LessError(Exception):
    """Base of every error this project raises on purpose.

    The message reads ``where: expected X, got Y. Do Z.``, in one line that any terminal can show, and not too long to be read.
    """

    def __init__(self, where: str, expected: str, got: str, do: str) -> None:
        self.where = where
        super().__init__(f"{_fit(where, 500)}: expected {_fit(expected, 500)}, got {_fit(got, 1400)}. {_fit(do, 500)}")

    def __reduce__(self) -> tuple[object, ...]:  # the four parts do not survive pickling through `args`
        return (_restore, (type(self), self.where, str(self)))


def in_short(error: BaseException | None) -> str:
    """Return an exception's kind and what it says in one line, for a part of a message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.') or 'no message'}"


def _fit(part: str, most: int) -> str:
    """Return a part of a message without what hides or breaks the line, which paths and the texts of libraries may hold, and at length."""
    cut = part if len(part) <= most else f"{part[: most // 2]} … {part[-most // 2 :]}"
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return shown if len(shown) <= most else f"{shown[: most // 2]} … {shown[-most // 2 :]}"


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


class StorageError(LessError):
    """The system that keeps the files refuses: no room, no right, no credentials, no such bucket."""


class NonFiniteGradientError(LessError):
    """Nothing finite is left where at least one finite gradient is needed."""


class OutOfMemoryError(LessError):
    """A single example does not fit in memory."""
