"""Selection: the best rows of the pools for each target, and for all of them in turn."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from less_core.data.words import plain_text
from less_core.errors import ConfigError, NonFiniteGradientError
from less_core.refs import ExamplesRef, InfluenceRef, ScoresRef, SelectionRef
from less_core.selection.budget import Budget, Quotas, make_budget
from less_core.selection.ranking import Candidate, Ranking
from less_core.selection.turns import take_in_turn
from less_core.settings.select import SelectSettings
from less_core.storage.formats.copies import read_copies
from less_core.storage.formats.examples import RowPlace, find_rows
from less_core.storage.formats.scores import iterate_scores
from less_core.storage.formats.selections import write_selected_ids, write_selected_rows
from less_core.storage.layout import MERGED, Version
from tasks.rows import Rows
from tasks.stage_task import stage_task

if TYPE_CHECKING:
    from less_core.selection.near_duplicates import NearDuplicates

LEAST = 64  # examples ranked at a time: a ranking that was used up is made anew of twice as many


@stage_task("select")
def select_examples(settings: SelectSettings, version: Version, examples: ExamplesRef, influence: InfluenceRef) -> list[SelectionRef]:
    """Take each target's best by the rule within the budget and write the chosen rows; with several targets a merged file too."""
    budget = make_budget(settings.selection.by, settings.selection.amount, examples.examples)
    rows = Rows(settings, "pool")
    chosen: dict[str, list[Candidate]] = {}
    passed_over: dict[str, list[str]] = {}
    for scores in influence.scores:
        eligible = Eligible(settings, version)
        gate = Gate(settings, rows, budget)
        rankings = [gate.ready(ranking, examples) for ranking in rank(settings, scores, budget, eligible)]
        chosen[scores.target] = take_in_turn(rankings, budget, gate)
        passed_over[scores.target] = [*eligible.reasons(), *gate.reasons()]
        _check(settings, scores, chosen[scores.target])
    if len(chosen) > 1:
        gate = Gate(settings, rows, budget)
        chosen[MERGED] = take_in_turn([gate.ready(iter(found), examples) for found in list(chosen.values())], budget, gate)
        passed_over[MERGED] = gate.reasons()
    places = find_rows(examples.path, list({candidate.example_id for found in chosen.values() for candidate in found}))
    selections = []
    for name, found in chosen.items():
        path = version.selected(name)
        write_selected_ids(version.selected_ids(name), [candidate.example_id for candidate in found])
        taken = (places[candidate.example_id] for candidate in found)
        address = write_selected_rows(path, (rows.read(place.pool, place.file, place.offset) for place in taken))
        selections.append(
            SelectionRef(
                target=name,
                path=path,
                address=address,
                selected=len(found),
                tokens=sum(candidate.tokens for candidate in found),
                threshold=min(candidate.score for candidate in found) if name != MERGED else 0.0,
                passed_over=passed_over[name],
            )
        )
    return selections


class Eligible:
    """Which examples may be ranked at all: not too short or long, and, where that is asked for, no copy of a target example."""

    def __init__(self, settings: SelectSettings, version: Version) -> None:
        self._selection = settings.selection
        self._barred = pa.array([], pa.string())
        if settings.selection.contaminated == "exclude":
            copies = [copy.example_id for pool in settings.pools for copy in read_copies(version.pool_copies(pool.name))]
            self._barred = pa.array(sorted(set(copies)), pa.string())
        self._counts: Counter[str] = Counter()

    def allows(self, table: pa.Table, *, counted: bool) -> NDArray[np.bool_]:
        """Return [rows] for a scores file's columns example_id and num_tokens; what is left out is counted where that is asked for."""
        tokens = table["num_tokens"].to_numpy()
        short = tokens < self._selection.min_tokens
        long = (tokens > self._selection.max_tokens) & (self._selection.max_tokens > 0)
        copies = pc.is_in(table["example_id"], value_set=self._barred).to_numpy()
        for reason, left_out in (("too short", short), ("too long", long), ("copies of target examples", copies)):
            self._counts[reason] += int(left_out.sum()) * counted
        allowed: NDArray[np.bool_] = ~(short | long | copies)
        return allowed

    def reasons(self) -> list[str]:
        return [f"{count:,} {reason}" for reason, count in self._counts.items() if count]


class Gate:
    """What passes over a ranked example, in the order of taking: its pool's quota, and a better one that is nearly the same."""

    def __init__(self, settings: SelectSettings, rows: Rows, budget: Budget) -> None:
        self._rows = rows
        self._quotas = Quotas(budget, {pool.name: pool.quota for pool in settings.pools if pool.quota < 1})
        self._likeness = settings.selection.near_duplicates
        self._near_duplicates = _near_duplicates(self._likeness) if self._likeness else None
        self._idle = self._near_duplicates is None and all(pool.quota == 1 for pool in settings.pools)
        self._places: dict[str, RowPlace] = {}
        self._counts: Counter[str] = Counter()

    def ready(self, ranking: Iterator[Candidate], examples: ExamplesRef) -> Iterator[Candidate]:
        """Yield a ranking's examples, each once its place in its pool is known."""
        if self._idle:
            yield from ranking
            return
        count = LEAST
        while block := list(islice(ranking, count)):
            unknown = [candidate.example_id for candidate in block if candidate.example_id not in self._places]
            self._places |= find_rows(examples.path, unknown)
            yield from block
            count *= 2  # each look reads the whole index

    def __call__(self, candidate: Candidate) -> bool:
        if self._idle:
            return True
        place = self._places[candidate.example_id]
        if not self._quotas.has_room(place.pool, candidate.tokens):
            self._counts[f"over the quota of pool {place.pool}"] += 1
            return False
        if self._near_duplicates is not None:
            text = plain_text(self._rows.example(place.pool, place.file, place.offset))
            if not self._near_duplicates.is_new(candidate.example_id, text):
                self._counts[f"nearly the same as a better one (Jaccard {self._likeness:g})"] += 1
                return False
        self._quotas.take(place.pool, candidate.tokens)
        return True

    def reasons(self) -> list[str]:
        return [f"{count:,} {reason}" for reason, count in self._counts.items()]


def _near_duplicates(likeness: float) -> "NearDuplicates":
    from less_core.selection.near_duplicates import NearDuplicates  # what it imports would slow every run's start

    return NearDuplicates(likeness)


def rank(settings: SelectSettings, scores: ScoresRef, budget: Budget, eligible: Eligible) -> list[Iterator[Candidate]]:
    """Return the target's rankings, best first: one, or one of each subtask, to be taken in turn.

    Raises:
        NonFiniteGradientError: No example has a score.
    """
    columns = ["score"] if settings.rule == "top" else [f"subtask/{subtask}" for subtask in scores.subtasks]
    wanted = budget.count or LEAST
    first = wanted if len(columns) == 1 else max(LEAST, 2 * wanted // len(columns))
    rankings = _best(scores, columns, first, eligible, counted=True)
    if not any(len(ranking.example_ids) for ranking in rankings):
        do = "See the counts of flagged examples; the model may be broken, or features.max_length or selection.max_tokens too short."
        raise NonFiniteGradientError(scores.path, "an example with a score that may be selected", "none", do)
    return [_further(scores, column, ranking, first, eligible) for column, ranking in zip(columns, rankings, strict=True)]


def _further(scores: ScoresRef, column: str, ranking: Ranking, count: int, eligible: Eligible) -> Iterator[Candidate]:
    given = 0
    while True:
        rows = zip(ranking.example_ids[given:].tolist(), ranking.tokens[given:].tolist(), ranking.scores[given:].tolist(), strict=True)
        yield from (Candidate(*row) for row in rows)
        if ranking.best_cut is None:
            return
        given, count = count, 2 * count
        (ranking,) = _best(scores, [column], count, eligible, counted=False)


def _best(scores: ScoresRef, columns: Sequence[str], count: int, eligible: Eligible, *, counted: bool) -> list[Ranking]:
    """Return the best `count` by each column, reading the file once."""
    rankings = [Ranking(count) for _ in columns]
    for table in iterate_scores(scores.path, ["example_id", "num_tokens", *columns]):
        table = table.filter(pa.array(eligible.allows(table, counted=counted)))
        ids, tokens = table["example_id"].to_numpy().astype("U32"), table["num_tokens"].to_numpy().astype(np.int64)
        for column, ranking in zip(columns, rankings, strict=True):
            ranking.offer(ids, table[column].to_numpy().astype(np.float64), tokens)
    return rankings


def _check(settings: SelectSettings, scores: ScoresRef, chosen: Sequence[Candidate]) -> None:
    if not chosen:
        where = f"selection for {scores.target}"
        got = f"{settings.selection.amount:g} {settings.selection.by} with these quotas"
        raise ConfigError(where, "a budget that holds at least one example", got, "Raise selection.amount or the pools' quotas.")
