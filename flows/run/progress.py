"""What a person sees of a run while it goes on: its stages, how far the whole run is, how fast, and when it will end.

A run's page has the progress of the whole run, in its picture and among its artifacts, and a table of all stages, both
kept up to date in place; a stage's page has its own progress. The run's log has a line when a stage begins and ends, and
now and then one between. On a terminal there is a bar too.

Nothing here imports torch, so that a run's page shows something before the run imports what it computes with. A server
that does not answer never ends the work.
"""

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.schemas.actions import ArtifactUpdate
from tqdm import tqdm

from flows.events import stage_finished
from flows.run.artifacts import artifact_key
from flows.run.waiting import Waiting
from less_core.files.whole import size_of_folder
from less_core.preflight.forecast import TARGETS, Forecast, Left, Step
from less_core.refs import FeatureWork, StageCost
from less_core.report.style.inline import stage_row
from less_core.report.style.wording import about, between, duration, ends_at, thousands
from tasks.work import WORK

FIRST, LAST = 2.0, 30.0  # seconds between two updates of a stage, at its beginning and in the long run
SLOWER = 60  # a stage that has run for this many seconds times n is shown every n seconds
LOG_EVERY = 30.0  # seconds between two lines of a stage in the run's log
WIDE = 1.5  # from this ratio on, a range of times is shown as one

Done = TypeVar("Done")

logger = logging.getLogger(__name__)
_UNTOLD: set[str] = set()  # what could not be shown the last time, so that the log says it once
_BOARD: ContextVar["Board | None"] = ContextVar("board", default=None)


class Board:
    """What a run's page shows: how far it is, and a table of its stages.

    Args:
        name: Of the selection.
        foreseen: Whether there will be a forecast. Without one, progress is the share of the stages that ended.
    """

    def __init__(self, name: str, *, foreseen: bool = True) -> None:
        self.name = name
        self.log = get_run_logger()  # the run's own, also when a stage writes to it
        self._page = copy_context()  # so that what is made in it is on the run's page, also when a stage makes it
        self.began = time.monotonic()
        self.forecast = Forecast(self.began)
        self.results = ""  # the folder that the stages write their results to
        self._foreseen = foreseen
        self._counted = 0  # bytes in it that are counted already
        self._rows: dict[str, dict[str, Any]] = {}
        self._progress: UUID | None = None
        self._table: UUID | None = None
        self._waiting = Waiting(name)
        attempt(f"progress of {name}", lambda: self._update(f"{name}: starting"))
        attempt("the end of the waiting", self._waiting.over)

    def announce(self, stages: Sequence[str]) -> None:
        """Show all stages that will come, in order."""
        self._rows = {stage: {"stage": stage, "progress": "waiting"} for stage in stages}
        attempt(f"progress of {self.name}", lambda: self._update(f"{self.name}: starting"))

    def create(self, artifact: Callable[..., Done], **contents: Any) -> Done:
        """Create an artifact on the page of the whole run; return what Prefect's function returns."""
        return self._page.run(artifact, **contents)

    def look_ahead(self, outlook: Callable[[], tuple[Iterable[Step], float, bool]]) -> None:
        """Start the forecast from what is expected. If that fails, the run goes on without a forecast."""
        try:
            steps, seconds_a_token, measured = outlook()
        except Exception as error:
            self.log.warning("When this run will end is not known: %s", error)
            return
        self.forecast.expect(steps, seconds_a_token=seconds_a_token, measured=measured)

    def grown(self) -> int:
        """Return the bytes of the results that no stage has counted yet."""
        return size_of_folder(self.results) - self._counted if self.results else 0

    def show(self, stage: str, row: dict[str, Any], line: str) -> None:
        """Show what is known of a stage: its row of the table, and a line for a person."""
        self._rows[stage] = row
        self._update(line)
        attempt("who waits for the device", lambda: self._waiting.tell(stage, self.left))

    def ended(self, stage: str, bytes_of_results: int) -> None:
        """Note that a stage ended, and how many bytes of results it wrote."""
        self.forecast.end(stage)
        self._counted += bytes_of_results

    def finish(self, state: str) -> None:
        """Show that the run ended."""
        line = f"{self.name}: {state} after {duration(time.monotonic() - self.began)}"
        attempt(f"progress of {self.name}", lambda: self._update(line, 1.0 if state == "done" else self._share()))
        attempt("who waits for the device", self._waiting.leave)

    @property
    def left(self) -> Left | None:
        """How much longer the run takes; None while that is unknown."""
        return self.forecast.left(time.monotonic())

    @property
    def line(self) -> str:
        """How far the whole run is and when it will end, for a person; empty while that is unknown."""
        left, share = self.left, self.forecast.share(time.monotonic())
        if left is None or share is None:
            return ""
        if left.high > WIDE * left.low:
            return f"run about {percent_of(share)}%, {between(left.low, left.high)} left"
        return f"run {percent_of(share)}%, {about(left.seconds)} left, ends about {ends_at(left.seconds)}"

    def _share(self) -> float:
        if not self._foreseen:
            return sum(row["progress"] == "done" for row in self._rows.values()) / max(1, len(self._rows))
        return self.forecast.share(time.monotonic()) or 0.0

    def _update(self, line: str, share: float | None = None) -> None:
        share = self._share() if share is None else share
        self._progress = set_progress(self._progress, artifact_key(self.name, "progress"), share, line)
        rows = list(self._rows.values())
        if self._table is None:
            key = artifact_key(self.name, "stages")
            description = f"Stages of {self.name}"
            self._table = create_table_artifact(key=key, table=rows, description=description)  # type: ignore[assignment]
        else:
            with get_client(sync_client=True) as client:
                client.update_artifact(self._table, ArtifactUpdate(data=json.dumps(rows)))


@contextmanager
def board(name: str, *, foreseen: bool = True) -> Iterator[Board]:
    """Show on the run's page how the stages go that run within the block; see `Board`."""
    shown = Board(name, foreseen=foreseen)
    token = _BOARD.set(shown)
    try:
        yield shown
        shown.finish("done")
    except Exception:
        shown.finish("failed")
        raise
    finally:
        _BOARD.reset(token)
        WORK.stop.clear()  # by now all that a stage had started has ended


def current_board() -> Board | None:
    """Return the board of the run that this is part of."""
    return _BOARD.get()


def on_run_page(artifact: Callable[..., Any], **contents: Any) -> Any:
    """Create an artifact on the page of the whole run, also from within a stage; return what Prefect's function returns."""
    shown = current_board()
    return shown.create(artifact, **contents) if shown else artifact(**contents)


class Stage:
    """A stage of a run: what it does is counted, timed and shown. Used as a context; `cost` holds once `done` was called.

    Args:
        name: As people see it.
        unit: What is counted: "examples", "checkpoints".
    """

    def __init__(self, name: str, unit: str) -> None:
        self.name = name
        self.unit = unit
        self.cost = StageCost(name=name, unit=unit, total=0, reused=0, computed=0, flagged=0, seconds=0, bytes_written=0)
        self._board = _BOARD.get()
        self._expected = self._finished = self._tokens = self._results = 0
        self._rounds = 1
        self._ended = threading.Event()
        self._logged = -math.inf

    def __enter__(self) -> "Stage":
        self._started = time.monotonic()
        WORK.stop.clear()
        WORK.listener = self
        if self._board:
            self._board.forecast.begin(self.name, self._started)
        self._artifact: UUID | None = None
        self._bar = tqdm(desc=self.name, total=0, unit=self.unit.removesuffix("s"), disable=not sys.stderr.isatty(), leave=False)
        self._show("running")
        # The thread needs the run's context: which server, which run.
        self._ticker = threading.Thread(target=copy_context().run, args=(self._tick,), daemon=True, name=f"progress of {self.name}")
        self._ticker.start()
        return self

    def expect(self, examples: int, rounds: int = 1, steps: Iterable[Step] = ()) -> None:
        """Say what is to be computed, as far as it is known.

        Args:
            examples: Counted once for every round.
            rounds: How often each example is computed, such as once a checkpoint. It counts as one example after all rounds.
            steps: The same work for the forecast; without any, the forecast stays as it is.
        """
        self._expected, self._rounds = examples, rounds
        self._bar.reset(total=math.ceil(examples / rounds))
        if self._board and (steps := list(steps)):
            self._board.forecast.expect(steps)

    def loaded(self) -> None:
        """Note that what came before was loading, and that computing starts."""
        if self._board:
            self._board.forecast.loaded(time.monotonic())

    def advance(self, examples: int, tokens: int = 0) -> None:
        """Count examples that are computed, each once a round."""
        self._finished += examples
        self._tokens += tokens
        if self._board:
            self._board.forecast.did(self.name, tokens or examples, time.monotonic())
        if tokens:
            self._bar.set_postfix_str(f"{self._tokens / self._seconds:.0f} tokens/s", refresh=False)
        self._bar.update(self._count - self._bar.n)

    def advance_targets(self, tokens: int) -> None:
        """Count tokens of target examples, whose gradients come before the pool's."""
        if self._board:
            self._board.forecast.did(TARGETS, tokens, time.monotonic())

    def done(self, total: int, computed: int, *, flagged: int = 0, bytes_written: int = 0) -> None:
        """Say what the stage came to, in its unit, and how many bytes it wrote to the store.

        The bytes of its results, in the run's own folder, are added here.
        """
        self._results = self._board.grown() if self._board else 0
        self.cost = StageCost(
            name=self.name,
            unit=self.unit,
            total=total,
            reused=total - computed,
            computed=computed,
            flagged=flagged,
            seconds=self._seconds,
            bytes_written=bytes_written + self._results,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        WORK.listener = None
        if error is not None:
            WORK.stop.set()  # what other threads still compute is not wanted any more
        self._ended.set()
        self._ticker.join()
        self._bar.close()
        if error is None:
            if self._board:
                self._board.ended(self.name, self._results)
            self._show("done")
            stage_finished(self._name, self.cost)
        elif isinstance(error, Exception):
            self._show("failed")

    @property
    def line(self) -> str:
        """How far the whole run is, then how far and how fast the stage: Prefect's V2 UI cuts the line short on a run's page."""
        expected = math.ceil(self._expected / self._rounds)
        counts = f"{thousands(self._count)} of {thousands(expected)} examples" if expected else "at work"
        parts = [self._board.line if self._board else "", f"{self.name}: {counts}", self._rate]
        return " · ".join(part for part in parts if part)

    @property
    def _count(self) -> int:
        """Examples that are done; one that went through half of its rounds counts as half an example."""
        return self._finished // self._rounds

    @property
    def _rate(self) -> str:
        return f"{self._finished / self._rounds / self._seconds:#.3g} examples/s" if self._finished else ""

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
        while not self._ended.wait(min(LAST, max(FIRST, self._seconds / SLOWER))):
            self._show("running")

    def _show(self, state: str) -> None:
        """Tell the server; one that does not answer must not end the work."""
        attempt(f"progress of {self.name}", lambda: self._tell(state))

    def _tell(self, state: str) -> None:
        share = 1.0 if state == "done" else self._share
        line = self._summary() if state == "done" else f"{self.name}: failed" if state == "failed" else self.line
        if self._board:
            known = stage_row(self.cost) if state == "done" else {"rate": self._rate}
            progress = f"{percent_of(share)}%" if state == "running" and self._expected else state
            whole = f"{self._board.line} · " if state == "done" and self._board.line else ""
            if state != "running" or time.monotonic() - self._logged > LOG_EVERY:
                self._logged = time.monotonic()
                self._board.log.info("%s", line)
            self._board.show(self.name, {"stage": self.name, "progress": progress} | known, whole + line)
        self._artifact = set_progress(self._artifact, artifact_key(self.name, "progress"), share, line)

    def _summary(self) -> str:
        cost = self.cost
        counts = f"{thousands(cost.computed)} {cost.unit} computed, {thousands(cost.reused)} reused"
        flagged = f", {thousands(cost.flagged)} flagged" if cost.flagged else ""
        return f"{self.name}: done in {duration(cost.seconds)}; {counts}{flagged}"


def set_progress(artifact: UUID | None, key: str, share: float, line: str) -> UUID:
    """Create a progress artifact, or change an existing one; return its id."""
    if artifact is None:
        made = create_progress_artifact(progress=percent_of(share), key=key, description=line)
        return made  # type: ignore[return-value]
    update_progress_artifact(artifact, progress=percent_of(share), description=line)
    return artifact


def attempt(what: str, tell: Callable[[], Done]) -> Done | None:
    """Tell the server something; return what `tell` returns, or None if it fails, which must not end the work.

    Args:
        what: What is told, for the log.
        tell: Tells it.
    """
    try:
        told = tell()
    except Exception as error:  # whatever the client raises
        if what not in _UNTOLD:
            logger.warning("%s cannot be shown: %s", what, error)
        _UNTOLD.add(what)
        return None
    _UNTOLD.discard(what)
    return told


def percent_of(share: float) -> int:
    """Return a share as whole percent, rounded down, so that 100 means done."""
    return math.floor(100 * share)


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
    key, description = artifact_key(name, "plan"), f"What the store has of the {name}, and what is missing"
    attempt(f"the plan of the {name}", lambda: create_table_artifact(key=key, table=rows, description=description))
