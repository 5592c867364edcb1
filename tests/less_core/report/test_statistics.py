"""What a report counts in a scores file, against plain numpy over the whole table at once."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest

from less_core.report.statistics import BINS, LENGTH_EDGES, ScoreStatistics, Tables

COUNT = 300


def make_table(seed: int = 0) -> pa.Table:
    """Rows in the order of their ids; every ninth has no score."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 3000, COUNT)
    scores = rng.normal(size=COUNT).astype(np.float32) + (tokens / 3000).astype(np.float32)
    missing = np.arange(COUNT) % 9 == 0
    return pa.table(
        {
            "example_id": [f"{i:04d}" for i in range(COUNT)],
            "pool": pa.array(rng.choice(["p", "q"], COUNT)).dictionary_encode(),
            "file": pa.array(["p.jsonl"] * COUNT),
            "index": pa.array(range(COUNT), pa.int64()),
            "score": pa.array(scores, mask=missing),
            "best_subtask": pa.array(rng.choice(["a", "b", "c"], COUNT), mask=missing).dictionary_encode(),
            "source": pa.array(rng.choice(["x", "y"], COUNT)).dictionary_encode(),
            "num_tokens": pa.array(tokens, pa.int32()),
        }
    )


def in_groups(table: pa.Table, edges: list[int]) -> Tables:
    def groups() -> Iterator[pa.Table]:
        for low, high in zip([0, *edges], [*edges, table.num_rows], strict=True):
            yield table.slice(low, high - low)

    return groups


def chosen_of(table: pa.Table, count: int = 40) -> list[int]:
    """Row numbers of the best."""
    scores = np.nan_to_num(table["score"].to_numpy(), nan=-np.inf)
    return np.argsort(-scores)[:count].tolist()


@pytest.fixture(params=[[], [100, 200], [0, 1, 7, 150, 150, 299]], ids=["one", "three", "uneven"])
def case(request: pytest.FixtureRequest) -> tuple[pa.Table, list[int], ScoreStatistics]:
    table = make_table()
    chosen = chosen_of(table)
    ids = table["example_id"].to_pylist()
    return table, chosen, ScoreStatistics(in_groups(table, request.param), {ids[i] for i in chosen}, shown=5)


def finite(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and tokens where there is a score, and their row numbers."""
    score = table["score"].to_numpy().astype(np.float64)
    rows = np.flatnonzero(np.isfinite(score))
    return score[rows], table["num_tokens"].to_numpy()[rows], rows


def test_statistics_count_what_has_a_score(case) -> None:
    table, _, statistics = case
    assert statistics.scored == len(finite(table)[0]) < COUNT


def test_statistics_histogram_equals_numpys(case) -> None:
    table, chosen, statistics = case
    score, _, rows = finite(table)
    edges = np.linspace(score.min(), score.max(), BINS + 1)
    histogram = statistics.histogram
    assert histogram.edges == pytest.approx(edges.tolist())
    assert histogram.pool == np.histogram(score, edges)[0].tolist()
    assert histogram.selected == np.histogram(score[np.isin(rows, chosen)], edges)[0].tolist()
    assert (sum(histogram.pool), sum(histogram.selected)) == (statistics.scored, len(chosen))


def test_statistics_best_and_worst_are_those_of_the_whole_table(case) -> None:
    table, _, statistics = case
    score, _, rows = finite(table)
    order = rows[np.argsort(score)].tolist()
    records = table.drop_columns("source").to_pylist()
    assert statistics.best == [records[i] for i in order[::-1][:5]]
    assert statistics.worst == [records[i] for i in order[:5]]


def test_statistics_sources_count_pool_and_selection_most_selected_first(case) -> None:
    table, chosen, statistics = case
    pairs = list(zip(table["pool"].to_pylist(), table["source"].to_pylist(), strict=True))
    pool, selected = Counter(pairs), Counter(pairs[i] for i in chosen)
    assert {(s.pool, s.source): (s.pool_examples, s.selected_examples) for s in statistics.sources} == {
        k: (pool[k], selected[k]) for k in pool
    }
    counts = [s.selected_examples for s in statistics.sources]
    assert counts == sorted(counts, reverse=True)


def test_statistics_best_subtasks_count_the_selected(case) -> None:
    table, chosen, statistics = case
    subtasks = table["best_subtask"].to_pylist()
    found = [(s.subtask, s.selected) for s in statistics.best_subtasks]
    assert dict(found) == Counter(subtasks[i] for i in chosen)
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))


def test_statistics_lengths_are_means_within_half_open_bins(case) -> None:
    table, chosen, statistics = case
    score, tokens, rows = finite(table)
    expected = []
    for low, high in itertools.pairwise(LENGTH_EDGES):
        inside = (tokens >= low) & (tokens < high)
        if inside.any():
            expected.append((low, high, int(inside.sum()), pytest.approx(score[inside].mean()), int(np.isin(rows[inside], chosen).sum())))
    assert [(b.low, b.high, b.examples, b.mean_score, b.selected) for b in statistics.lengths] == expected


def test_statistics_correlation_with_length_is_pearsons(case) -> None:
    table, _, statistics = case
    score, tokens, _ = finite(table)
    assert statistics.length_correlation == pytest.approx(np.corrcoef(score, tokens)[0, 1], abs=1e-9)


def changed(table: pa.Table, name: str, values: Callable[[int], float | None], type_: pa.DataType) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array([values(i) for i in range(COUNT)], type_))


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.7, 1e-6])
def test_statistics_of_equal_scores_have_one_bin_filled_and_no_correlation(value: float) -> None:
    table = changed(make_table(), "score", lambda i: value, pa.float32())
    statistics = ScoreStatistics(in_groups(table, [100]), {"0001"}, shown=5)
    assert sorted(statistics.histogram.pool)[-2:] == [0, COUNT]
    assert statistics.length_correlation == 0.0


def test_statistics_of_small_scores_that_hardly_vary_keep_the_correlation_exact() -> None:
    table = make_table()
    tokens = table["num_tokens"].to_pylist()
    table = changed(table, "score", lambda i: 0.5 + 1e-5 * tokens[i] / 3000, pa.float32())
    score = table["score"].to_numpy().astype(np.float64)
    statistics = ScoreStatistics(in_groups(table, [50]), set(), shown=5)
    assert statistics.length_correlation == pytest.approx(np.corrcoef(score, tokens)[0, 1], abs=1e-4)


def test_statistics_of_equal_scores_show_the_same_examples_however_the_table_is_cut() -> None:
    table = changed(make_table(), "score", lambda i: float(i % 3), pa.float32())
    shown = [(s.best, s.worst) for s in (ScoreStatistics(in_groups(table, edges), set(), shown=5) for edges in ([], [100], [10, 20, 290]))]
    assert shown[0] == shown[1] == shown[2]
    assert [row["example_id"] for row in shown[0][0]] == ["0002", "0005", "0008", "0011", "0014"]
    assert [row["example_id"] for row in shown[0][1]] == ["0000", "0003", "0006", "0009", "0012"]


def test_statistics_show_all_where_there_are_fewer_than_asked_for() -> None:
    statistics = ScoreStatistics(in_groups(make_table().slice(0, 3), []), set(), shown=5)
    assert len(statistics.best) == len(statistics.worst) == 2
    assert statistics.best == statistics.worst[::-1]
