"""Selection: the best rows of the pools for each target, and for all of them in turn."""

import numpy as np

from less_core.config import SelectSettings
from less_core.data.pools import open_pool
from less_core.errors import ConfigError, NonFiniteGradientError
from less_core.method.selection import Ranking, make_budget, merge_round_robin
from less_core.refs import ExamplesRef, InfluenceRef, ScoresRef, SelectionRef
from less_core.storage.examples import RowPlace, find_rows
from less_core.storage.files import write_whole
from less_core.storage.layout import MERGED, Version
from less_core.storage.scores import iterate_scores
from less_core.storage.selections import write_selected_ids
from tasks.stage_task import stage_task


@stage_task("select")
def select_examples(settings: SelectSettings, version: Version, examples: ExamplesRef, influence: InfluenceRef) -> list[SelectionRef]:
    """Rank each target's scores within the budget and write the chosen rows, best first; with several targets a merged file too."""
    budget = make_budget(settings.selection.by, settings.selection.amount, examples.examples)
    rankings = {scores.target: rank(scores, Ranking(budget)) for scores in influence.scores}
    chosen = {name: list(ranking.example_ids) for name, ranking in rankings.items()}
    if len(rankings) > 1:
        pairs = [list(zip(r.example_ids.tolist(), r.tokens.tolist(), strict=True)) for r in rankings.values()]
        chosen[MERGED] = merge_round_robin(pairs, budget)
    tokens = {e: t for r in rankings.values() for e, t in zip(r.example_ids.tolist(), r.tokens.tolist(), strict=True)}
    places = find_rows(examples.path, list(tokens))
    selections = []
    for name, ids in chosen.items():
        path = version.selected(name)
        write_selected_ids(version.selected_ids(name), ids)
        _write_rows(settings, path, [places[example_id] for example_id in ids])
        threshold = float(rankings[name].scores[-1]) if name in rankings else 0.0
        selections.append(SelectionRef(target=name, path=path, selected=len(ids), tokens=sum(tokens[e] for e in ids), threshold=threshold))
    return selections


def rank(scores: ScoresRef, ranking: Ranking) -> Ranking:
    """Return the ranking filled from a scores file.

    Raises:
        ConfigError: The budget holds not even the best example.
        NonFiniteGradientError: No example has a score.
    """
    scored = 0
    for table in iterate_scores(scores.path, ["example_id", "score", "num_tokens"]):
        values = table["score"].to_numpy().astype(np.float64)
        scored += int(np.isfinite(values).sum())
        ranking.offer(table["example_id"].to_numpy().astype("U32"), values, table["num_tokens"].to_numpy().astype(np.int64))
    if not scored:
        do = "See the counts of flagged examples; the model may be broken, or features.max_length too short."
        raise NonFiniteGradientError(scores.path, "an example with a score", "none", do)
    if not len(ranking.example_ids):
        raise ConfigError("selection.amount", "a budget that holds at least one example", f"{ranking.budget.tokens} tokens", "Raise it.")
    return ranking


def _write_rows(settings: SelectSettings, path: str, places: list[RowPlace]) -> None:
    sources = {name: open_pool(settings, name) for name in sorted({place.pool for place in places})}
    with write_whole(path) as file:
        for place in places:
            file.write(sources[place.pool].read(place.file, place.offset) + b"\n")
