"""Processes that run as long as the service does. Each writes to a log file of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.server.errors import ServerError

GRACE_SECONDS = 15
TOO_SOON = 10  # seconds: a process that ends sooner than this after its start, twice in a row, is not started again
SHOWN = 40  # lines of a log


class Child:
    """A Python process of ours.

    A gated one imports what it needs and then waits on its standard input until `release` is called.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, gated: bool = False) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._environment = dict(environment)
        self._gated = gated
        self._quick_ends = 0
        if log.exists():  # of the service's last start
            log.replace(log.with_suffix(".last.log"))
        self.start()

    def start(self) -> None:
        self._started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments],
                env=self._environment,
                stdin=subprocess.PIPE if self._gated else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the terminal reaches it through us, once and in order
            )

    def release(self) -> None:
        """Let a gated process go on."""
        if self.process.stdin:
            self.process.stdin.write(b"\n")
            self.process.stdin.close()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self, words: str) -> bool:
        """Tell whether its log has these words."""
        return words.encode() in self.log.read_bytes()

    def start_again(self) -> None:
        """Start it anew.

        Raises:
            ServerError: It does not stay up.
        """
        self._quick_ends = self._quick_ends + 1 if time.monotonic() - self._started < TOO_SOON else 0
        if self._quick_ends > 1:
            raise self.failure()
        print(f"less-flow: {self.name} ended with code {self.process.returncode}; starting it again. Log: {self.log}", flush=True)
        self.start()
        if self._gated:
            self.release()

    def failure(self) -> ServerError:
        """Show the end of its log and return an error that names the file."""
        lines = self.log.read_text(errors="replace").splitlines()[-SHOWN:]
        print("\n".join(["", f"The last lines of {self.name}:", *lines]), file=sys.stderr, flush=True)
        return ServerError(
            self.name, "it to work", f"an end with code {self.process.poll()}", f"See the lines above, or all in {self.log}."
        )

    def stop(self) -> None:
        if self.ended():
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
