"""What a person sees of a run while it goes on: its stages, how far each is, how fast, and when it will end.

A run's page has the progress of the stage that is at work, in its picture and among its artifacts, and a table of all stages, both kept
up to date in place; a stage's page has its own progress. The run's log has a line when a stage begins and ends, and now and then one
between. On a terminal there is a bar too.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.events import emit_event
from tqdm import tqdm

from less_core.refs import FeatureWork
from less_core.report.markdown import stage_row
from less_core.report.summary import StageCost
from less_core.report.wording import duration, percent, thousands
from tasks.runtime import RUNTIME

FIRST, LAST = 2.0, 30.0  # seconds between two updates of a stage, at its beginning and in the long run
SLOWER = 60  # a stage that has run for this many seconds times n is shown every n seconds
LOG_EVERY = 30.0  # seconds between two lines of a stage in the run's log

logger = logging.getLogger(__name__)
_BOARD: ContextVar["Board | None"] = ContextVar("board", default=None)


class Board:
    """What a run's page shows of its stages: a table of all, and the progress of the one at work.

    Args:
        name: Of the selection.
        stages: All that will come, in order.
    """

    def __init__(self, name: str, stages: Sequence[str]) -> None:
        self.name = name
        self.log = get_run_logger()  # the run's own, also when a stage writes to it
        self._rows: dict[str, dict[str, Any]] = {stage: {"stage": stage, "progress": "waiting"} for stage in stages}
        self._table: UUID = create_table_artifact(  # type: ignore[assignment]
            key=artifact_key(name, "stages"), table=list(self._rows.values()), description=f"Stages of {name}"
        )
        self._progress: UUID = create_progress_artifact(  # type: ignore[assignment]
            progress=0.0, key=artifact_key(name, "progress"), description=name
        )

    def show(self, stage: str, row: dict[str, Any], share: float, line: str) -> None:
        """Show what is known of a stage: its row of the table, how much of it is done, and a line for a person."""
        self._rows[stage] = row
        update_progress_artifact(self._progress, progress=100.0 * share, description=line)
        with get_client(sync_client=True) as client:
            client.update_artifact(self._table, ArtifactUpdate(data=json.dumps(list(self._rows.values()))))


@contextmanager
def board(name: str, stages: Sequence[str]) -> Iterator[Board]:
    """Keep a table of the stages that run within the block."""
    token = _BOARD.set(Board(name, stages))
    try:
        found = _BOARD.get()
        assert found is not None
        yield found
    finally:
        _BOARD.reset(token)
        RUNTIME.stop.clear()  # by now all that a stage had started has ended


class Stage:
    """A stage of a run: what it does is counted, timed and shown. Used as a context; `cost` holds once `done` was called.

    Args:
        name: As people see it.
        unit: What is counted: "examples", "checkpoints", "features".
    """

    def __init__(self, name: str, unit: str) -> None:
        self.name = name
        self.unit = unit
        self.cost = StageCost(name=name, unit=unit, total=0, reused=0, computed=0, flagged=0, seconds=0, bytes_written=0)
        self._board = _BOARD.get()
        self._expected = self._finished = self._tokens = 0
        self._ended = threading.Event()
        self._broken = False
        self._logged = 0.0

    def __enter__(self) -> "Stage":
        self._started = self._logged = time.monotonic()
        RUNTIME.stop.clear()
        RUNTIME.progress = self.advance
        self._artifact: UUID = create_progress_artifact(  # type: ignore[assignment]
            progress=0.0, key=artifact_key(self.name, "progress"), description=self.name
        )
        self._bar = tqdm(desc=self.name, total=0, unit=self.unit.removesuffix("s"), disable=not sys.stderr.isatty(), leave=False)
        self._show("running")
        # The thread needs the run's context: which server, which run.
        self._ticker = threading.Thread(target=copy_context().run, args=(self._tick,), daemon=True, name=f"progress of {self.name}")
        self._ticker.start()
        return self

    def expect(self, examples: int) -> None:
        """Say how many examples are to be computed, as far as it is known."""
        self._expected = examples
        self._bar.reset(total=examples)

    def advance(self, examples: int, tokens: int = 0) -> None:
        """Count examples that are computed."""
        self._finished += examples
        self._tokens += tokens
        if tokens:
            self._bar.set_postfix_str(f"{self._tokens / self._seconds:.0f} tokens/s", refresh=False)
        self._bar.update(examples)

    def done(self, total: int, computed: int, *, flagged: int = 0, bytes_written: int = 0) -> None:
        """Say what the stage came to, in its unit."""
        self.cost = StageCost(
            name=self.name,
            unit=self.unit,
            total=total,
            reused=total - computed,
            computed=computed,
            flagged=flagged,
            seconds=self._seconds,
            bytes_written=bytes_written,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        RUNTIME.progress = None
        if error is not None:
            RUNTIME.stop.set()  # what other threads still compute is not wanted any more
        self._ended.set()
        self._ticker.join()
        self._bar.close()
        if error is None:
            self._show("done")
            emit_event(
                "less.stage.finished",
                resource={
                    "prefect.resource.id": f"less.selection.{self._name}",
                    "prefect.resource.name": self._name,
                    "less.stage": self.name,
                },
                payload=self.cost.model_dump(),
            )
        elif isinstance(error, Exception):
            self._show("failed")

    @property
    def line(self) -> str:
        """How far, how fast and how long yet, for a person."""
        if not self._expected:
            return f"{self.name}: at work"
        counts = f"{thousands(self._finished)} of {thousands(self._expected)} examples"
        parts = [f"{self.name}: {percent(self._share)}", self._left and f"{self._left} left", self._rate, counts]
        return " · ".join(part for part in parts if part)

    @property
    def _rate(self) -> str:
        return f"{self._finished / self._seconds:#.3g} examples/s" if self._finished else ""

    @property
    def _left(self) -> str:
        return (
            duration(max(0, self._expected - self._finished) * self._seconds / self._finished) if self._expected and self._finished else ""
        )

    @property
    def _share(self) -> float:
        return min(1.0, self._finished / self._expected) if self._expected else 0.0

    @property
    def _seconds(self) -> float:
        return max(time.monotonic() - self._started, 1e-6)

    @property
    def _name(self) -> str:
        return self._board.name if self._board else "none"

    def _tick(self) -> None:
        shown = 0
        while not self._ended.wait(min(LAST, max(FIRST, self._seconds / SLOWER))):
            if self._finished != shown:
                shown = self._finished
                self._show("running")

    def _show(self, state: str) -> None:
        """Tell the server; a server that does not answer must not end the work."""
        try:
            self._tell(state)
        except Exception as error:  # whatever the client raises
            if not self._broken:
                logger.warning("progress of %s cannot be shown: %s", self.name, error)
            self._broken = True

    def _tell(self, state: str) -> None:
        share = 1.0 if state == "done" else self._share
        line = self._summary() if state == "done" else f"{self.name}: failed" if state == "failed" else self.line
        update_progress_artifact(self._artifact, progress=100.0 * share, description=line)
        if self._board is None:
            return
        known = stage_row(self.cost) if state == "done" else {"rate": self._rate, "left": self._left}
        progress = percent(share) if state == "running" else state
        self._board.show(self.name, {"stage": self.name, "progress": progress} | known, share, line)
        if state != "running" or not self._finished or time.monotonic() - self._logged > LOG_EVERY:
            self._logged = time.monotonic()
            self._board.log.info("%s", line)

    def _summary(self) -> str:
        cost = self.cost
        counts = f"{thousands(cost.computed)} {cost.unit} computed, {thousands(cost.reused)} reused"
        flagged = f", {thousands(cost.flagged)} flagged" if cost.flagged else ""
        return f"{self.name}: done in {duration(cost.seconds)}; {counts}{flagged}"


def show_plan(name: str, work: Sequence[FeatureWork]) -> None:
    """Show, a row a checkpoint, what the store has of a stage's features and what is missing."""
    rows = []
    for checkpoint in dict.fromkeys(w.checkpoint for w in work):
        of_it = [w for w in work if w.checkpoint == checkpoint]
        rows.append(
            {
                "checkpoint": f"{checkpoint.number}/{checkpoint.of}, step {checkpoint.step}",
                "shards": len(of_it),
                "examples": sum(w.examples for w in of_it),
                "missing": sum(w.missing for w in of_it),
            }
        )
    create_table_artifact(key=artifact_key(name, "plan"), table=rows, description=f"What the store has of the {name}, and what is missing")


def artifact_key(name: str, what: str) -> str:
    """Return an artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in f"{name}-{what}".lower())
