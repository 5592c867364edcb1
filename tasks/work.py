"""How code that computes reports its progress and learns that it should stop. Nothing here imports torch."""

from threading import Event
from typing import Protocol


class Stopped(Exception):
    """The stage ended, by a cancellation, a timeout or a failure elsewhere, while this work was going on."""


class Listener(Protocol):
    """A stage that counts what is computed."""

    def loaded(self) -> None:
        """Note that what came before was loading, and that computing starts."""

    def advance(self, examples: int, tokens: int = 0) -> None:
        """Count examples of the stage."""

    def advance_targets(self, tokens: int) -> None:
        """Count tokens of target examples, whose gradients a stage takes before those of its own examples."""


class Work:
    """Passes progress on to the stage that listens, and ends the work when that stage stopped."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.stop = Event()  # set when work in other threads is to end at its next batch

    def __reduce__(self) -> str:
        return "WORK"  # a task that crosses to another process meets the one there

    def loaded(self) -> None:
        """Say that a model is loaded, so that the time before is not taken for that of the first batch."""
        if self.listener:
            self.listener.loaded()

    def advance(self, examples: int, tokens: int = 0) -> None:
        """Count a batch that is done.

        Raises:
            Stopped: No more is wanted.
        """
        self.go_on()
        if self.listener:
            self.listener.advance(examples, tokens)

    def advance_targets(self, tokens: int) -> None:
        """Count a batch of target examples whose gradients are taken.

        Raises:
            Stopped: No more is wanted.
        """
        self.go_on()
        if self.listener:
            self.listener.advance_targets(tokens)

    def go_on(self) -> None:
        """Raise `Stopped` if no more is wanted."""
        if self.stop.is_set():
            raise Stopped("the stage was stopped")


WORK = Work()
