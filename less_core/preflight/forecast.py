"""Predicts when a run of several stages ends, from the work that is expected and the speeds that were measured.

Pure arithmetic: the caller passes the time. Work is counted in units, such as tokens. The weight of a unit is its time over
that of a token of the pool's features. So the speed of the warmup, which is measured first, predicts the speed of the features
until they are measured themselves.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

TARGETS = "target gradients"  # a kind of work: the targets' own gradients, at each checkpoint before the pool's
TRUST = 10.0  # seconds of measuring after which a measured speed counts as much as the expected one
KNOWN = 20.0  # seconds of measuring after which a forecast is no longer a wide range
DOUBT = 2.5  # factor by which a rule of thumb may be wrong
MEMORY = 1 / 3  # of the run's time: a measurement this old counts half, as the load of a machine changes
LEAST_MEMORY = 60.0  # seconds


@dataclass(frozen=True)
class Step:
    """Work of one kind that a stage has to do.

    Args:
        stage: Its name.
        kind: Work of the same kind has the same speed, in any stage.
        units: The amount of work, in tokens, examples or whatever the kind is counted in.
        weight: The weight of a unit; 0 for work whose time is known.
        seconds: With weight 0, the time of a unit.
    """

    stage: str
    kind: str
    units: float
    weight: float = 0.0
    seconds: float = 0.0


class Left(NamedTuple):
    """The seconds until a run ends, and the range they may lie in."""

    seconds: float
    low: float
    high: float


@dataclass
class _Speed:
    units: float = 0.0
    seconds: float = 0.0

    def add(self, units: float, seconds: float, half_life: float) -> None:
        kept = 0.5 ** (seconds / half_life)
        self.units, self.seconds = self.units * kept + units, self.seconds * kept + seconds


class Forecast:
    """Knows the expected work of a run's stages, what is done, and how fast it was.

    Args:
        began: When the run began. All times are seconds of the same clock, whichever it is.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._steps: dict[tuple[str, str], Step] = {}
        self._done: dict[tuple[str, str], float] = {}
        self._speeds: dict[str, _Speed] = defaultdict(_Speed)
        self._ended: set[str] = set()
        self._guess = 0.0
        self._guess_holds = False
        self._stage = ""
        self._entered = self._last = began
        self._gap = 0.0

    def expect(self, steps: Iterable[Step], *, seconds_a_token: float = 0.0, measured: bool = False) -> None:
        """Say what work is ahead.

        Args:
            steps: Replace all earlier steps of the stages that they belong to.
            seconds_a_token: Time of a token of the pool's features, known before this run measures it; 0 changes nothing.
            measured: Whether an earlier run measured that time; else it is a rule of thumb.
        """
        steps = list(steps)
        stages = {step.stage for step in steps}
        kept = {key: step for key, step in self._steps.items() if key[0] not in stages}
        self._steps = kept | {(step.stage, step.kind): step for step in steps}  # in one step: another thread reads it
        if seconds_a_token:
            self._guess, self._guess_holds = seconds_a_token, measured

    def begin(self, stage: str, now: float) -> None:
        """Say that a stage begins; if it failed before, it counts from the start."""
        for key in [key for key in self._done if key[0] == stage]:
            del self._done[key]
        self._stage, self._entered, self._last, self._gap = stage, now, now, 0.0

    def loaded(self, now: float) -> None:
        """Say that the current stage loaded what it needed: the time of its next work starts now."""
        self._last = now

    def did(self, kind: str, units: float, now: float) -> None:
        """Count work of the current stage.

        The first work of a stage is not used to measure the speed, unless `loaded` said when it began: a training, say, has
        to be set up.
        """
        gap = now - self._last
        if self._last > self._entered:
            self._speeds[kind].add(units, gap, max(LEAST_MEMORY, MEMORY * (now - self._began)))
            self._gap = gap
        self._done[self._stage, kind] = self._done.get((self._stage, kind), 0.0) + units
        self._last = now

    def end(self, stage: str) -> None:
        """Say that a stage ended; the rest of its expected work is dropped."""
        self._ended.add(stage)
        self._stage = ""

    def left(self, now: float) -> Left | None:
        """Return how much longer the run takes; None while there is no basis for a figure."""
        model = other = 0.0
        for step in self._steps.values():
            if step.stage in self._ended:
                continue
            units = max(0.0, step.units - self._done.get((step.stage, step.kind), 0.0))
            if not step.weight:
                spent = now - self._entered if step.stage == self._stage else 0.0
                other += max(0.0, units * step.seconds - spent)
            elif units:
                pace = self._pace(step.kind)
                if pace is None:
                    return None
                model += units * pace
        if not self._steps:
            return None
        model = max(0.0, model - min(now - self._last, self._gap))  # a batch is being computed
        doubt = 1.0 if self._guess_holds else DOUBT ** max(0.0, 1 - self._measured / KNOWN)
        return Left(model + other, model / doubt + other, model * doubt + other)

    def share(self, now: float) -> float | None:
        """Return the share of the run's time that is over, from 0 to 1; None while there is no basis for a figure."""
        left = self.left(now)
        return None if left is None else (now - self._began) / max(now - self._began + left.seconds, 1e-9)

    @property
    def _measured(self) -> float:
        return sum(self._speeds[kind].seconds for kind in self._weights())

    def _weights(self) -> dict[str, float]:
        return {step.kind: step.weight for step in self._steps.values() if step.weight}

    def _pace(self, kind: str) -> float | None:
        """Return the seconds of a unit: measured, and mixed with what other kinds predict while little is measured."""
        weights = self._weights()
        own = self._speeds[kind]
        expected = self._expected(weights)
        if expected is None:
            return None
        expected *= weights[kind]
        return (own.seconds + TRUST) / (own.units + TRUST / expected)

    def _expected(self, weights: dict[str, float]) -> float | None:
        """Return the seconds of a token of the pool's features that all kinds together predict."""
        seconds = sum(self._speeds[kind].seconds for kind in weights)
        units = sum(self._speeds[kind].units * weight for kind, weight in weights.items())
        if self._guess:
            seconds, units = seconds + 1.0, units + 1.0 / self._guess
        return max(seconds, 1e-9) / units if units else None
