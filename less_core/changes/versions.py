"""Two versions of a selection held against each other: pools, targets, settings, and which examples came in and went out.

Tables have a row an example, up to millions; nothing here loops over them in Python.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from less_core.changes.correlation import spearman
from less_core.changes.records import ExampleMove, PoolChange, PoolDrift, SelectionChange, SettingChange, TargetChange
from less_core.changes.row_edits import FileRows, count_edits
from less_core.data.visible_text import clip
from less_core.selection.ranking import selection_ranks

_SETTING = 60  # characters of a setting's value
_CONTEXT = 20  # of these, what stands before the first difference of two long values
_ABSENT = object()

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def compare_pools(before: pa.Table, now: pa.Table) -> list[PoolChange]:
    """Return what became of every pool that holds an example in either version, in the order of `now`, then of `before`.

    An example is added or removed where the other version has it in no pool at all. For what an edit is, see `count_edits`.

    Args:
        before: example_id (distinct), pool, file, index (row in the file).
        now: The same.
    """
    pools, pool_before, pool_now = _codes(before["pool"], now["pool"])
    files, file_before, file_now = _codes(before["file"], now["file"])
    # An unchanged row is known by its number in `before`; what is new has -1.
    place_now = _rows_of(now["example_id"], before["example_id"])
    place_before = np.full(before.num_rows, -1)
    place_before[place_now[place_now >= 0]] = place_now[place_now >= 0]
    file_edits = count_edits(
        FileRows(pool_before * len(files) + file_before, before["index"].to_numpy(), place_before),
        FileRows(pool_now * len(files) + file_now, now["index"].to_numpy(), place_now),
        len(pools) * len(files),
    )
    edited = file_edits.reshape(len(pools), len(files)).sum(axis=1)
    count = len(pools)
    columns = [
        np.bincount(pool_before, minlength=count),
        np.bincount(pool_now, minlength=count),
        np.bincount(pool_now[place_now < 0], minlength=count) - edited,
        np.bincount(pool_before[place_before < 0], minlength=count) - edited,
        edited,
    ]
    return [
        PoolChange(name=name, before=b, now=n, added=a, removed=r, edited=e)
        for name, b, n, a, r, e in zip(pools, *(column.tolist() for column in columns), strict=True)
    ]


def compare_targets(before: pa.Table, now: pa.Table) -> list[TargetChange]:
    """Return the targets whose examples or their subtasks differ, in the order of `now`, then of `before`. Order of rows is no change.

    Args:
        before: example_id, pool (the target's name), source (the subtask); an example may stand in several rows.
        now: The same.
    """
    changes = []
    for name in _codes(before["pool"], now["pool"])[0]:
        old, new = (_rows_of_target(table, name) for table in (before, now))
        if not old.equals(new):
            what = "added" if old.num_rows == 0 else "removed" if new.num_rows == 0 else "changed"
            changes.append(TargetChange(name=name, what=what, examples_before=old.num_rows, examples_now=new.num_rows))
    return changes


def compare_settings(before: dict[str, Any], now: dict[str, Any]) -> list[SettingChange]:
    """Return the settings that differ, by dotted keys, in the order of `now`; values are JSON, cut short.

    Lists of mappings that have a `name` are compared item by item, other lists as a whole.
    """
    return [SettingChange(key=key, before=old, now=new) for key, old, new in _differences("", before, now)]


def moves(before_scores: pa.Table, now_scores: pa.Table, before_ids: Sequence[str], now_ids: Sequence[str]) -> pa.Table:
    """Return what came into a selection, best first, then what went out of it, best first.

    Args:
        before_scores: example_id (distinct), pool, file, index, score (null where unusable): all that were scored for a target.
        now_scores: The same.
        before_ids: What was selected of `before_scores`, best first.
        now_ids: The same of `now_scores`.

    Returns:
        example_id, change ("in" or "out"), why (as `ExampleMove` has it), pool, file, index, rank_before, rank_now, score_before,
        score_now. An example's place is the one it has now, where it still has one. Ranks count from 1, the best of the whole
        version, ties by example id; rank and score are null where the version has none.
    """
    came_in, went_out = _without(now_ids, before_ids), _without(before_ids, now_ids)
    ids = pa.concat_arrays([came_in, went_out])
    before, now = _standings(before_scores, ids), _standings(now_scores, ids)
    coming = pa.array(np.arange(len(ids)) < len(came_in))
    why_in = pc.if_else(before["index"].is_valid(), "rose", "new")
    why_out = pc.if_else(now["index"].is_valid(), "fell", "removed")
    return pa.table(
        {
            "example_id": ids,
            "change": pc.if_else(coming, "in", "out"),
            "why": pc.if_else(coming, why_in, why_out),
            **{name: pc.coalesce(now[name], before[name]) for name in ("pool", "file", "index")},
            "rank_before": before["rank"],
            "rank_now": now["rank"],
            "score_before": before["score"],
            "score_now": now["score"],
        }
    )


def compare_selection(
    target: str,
    before_scores: pa.Table,
    now_scores: pa.Table,
    before_ids: Sequence[str],
    now_ids: Sequence[str],
    moved: pa.Table,
    shown: int,
) -> SelectionChange:
    """Return how a target's selection and the scores behind it changed, with the first `shown` moves each way, their texts empty.

    The other arguments are those of `moves`, and what it returned for them.
    """
    why = {count["values"]: count["counts"] for count in pc.value_counts(moved["why"]).to_pylist()}
    came_in, went_out = why.get("new", 0) + why.get("rose", 0), why.get("removed", 0) + why.get("fell", 0)
    kept = len(now_ids) - came_in
    either = kept + came_in + went_out
    now = _scores(now_scores)
    before = _scores(before_scores, _rows_of(now_scores["example_id"], before_scores["example_id"]))
    both = np.isfinite(before) & np.isfinite(now)
    return SelectionChange(
        target=target,
        before=len(before_ids),
        now=len(now_ids),
        kept=kept,
        came_in=came_in,
        went_out=went_out,
        came_in_new=why.get("new", 0),
        went_out_removed=why.get("removed", 0),
        jaccard=kept / either if either else 1.0,
        common=int(both.sum()),
        spearman=spearman(before[both], now[both]),
        mean_rank_shift=_mean_rank_shift(before_scores, now_scores, before_ids, now_ids),
        drift=_drift(now_scores["pool"], both, before, now),
        moved_in=_first_moves(moved, "in", shown),
        moved_out=_first_moves(moved, "out", shown),
    )


def _codes(before: pa.ChunkedArray, now: pa.ChunkedArray) -> tuple[list[str], Integers, Integers]:
    """Return the distinct names of both columns, those of `now` first, and the two columns as numbers into them."""
    names = list(dict.fromkeys([*pc.unique(now).to_pylist(), *pc.unique(before).to_pylist()]))
    return names, _rows_of(before, pa.array(names, pa.string())), _rows_of(now, pa.array(names, pa.string()))


def _rows_of(ids: pa.ChunkedArray, among: pa.ChunkedArray) -> Integers:
    """Return where each of `ids` stands in `among`, -1 where it does not."""
    return pc.index_in(ids, value_set=among).fill_null(-1).to_numpy().astype(np.int64)


def _rows_of_target(table: pa.Table, name: str) -> pa.Table:
    rows = table.filter(pc.equal(table["pool"], name)).select(["example_id", "source"])
    plain = pa.schema([("example_id", pa.string()), ("source", pa.string())])
    return rows.cast(plain).sort_by([("example_id", "ascending"), ("source", "ascending")])


def _differences(key: str, before: Any, now: Any) -> Iterator[tuple[str, str, str]]:
    old, new = _by_name(before), _by_name(now)
    if old is not None and new is not None:
        for name in dict.fromkeys([*new, *old]):
            yield from _differences(f"{key}.{name}" if key else name, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif _json(before) != _json(now):
        yield key, *_cut(_json(before), _json(now))


def _by_name(value: Any) -> dict[str, Any] | None:
    """Return what a value holds by name, or None where it is to be compared as a whole."""
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        return {str(item["name"]): item for item in value}
    return value if isinstance(value, dict) else None


def _json(value: Any) -> str:
    return "not set" if value is _ABSENT else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _cut(old: str, new: str) -> tuple[str, str]:
    """Return two different texts cut short, so that they still differ."""
    if clip(old, _SETTING) == clip(new, _SETTING):
        first = next(place for place in range(len(old) + 1) if old[place : place + 1] != new[place : place + 1])
        old, new = (f"…{text[first - _CONTEXT :]}" for text in (old, new))
    return clip(old, _SETTING), clip(new, _SETTING)


def _without(ids: Sequence[str], others: Sequence[str]) -> pa.Array:
    array = pa.array(ids, pa.string())
    return array.filter(pc.invert(pc.is_in(array, value_set=pa.array(others, pa.string()))))


def _standings(scores: pa.Table, ids: pa.Array) -> pa.Table:
    """Return pool, file, index, score and rank of each of `ids`, null where a version has none."""
    hits = np.flatnonzero(pc.is_in(scores["example_id"], value_set=ids).to_numpy())
    ranks = selection_ranks(scores["example_id"], _scores(scores))
    found = scores.select(["example_id", "pool", "file", "index", "score"]).take(pa.array(hits))
    found = found.append_column("rank", pa.array(ranks[hits], mask=ranks[hits] == 0))
    rows = found.take(pc.index_in(ids, value_set=found["example_id"]))
    # Row groups have dictionaries of their own.
    return rows.set_column(1, "pool", rows["pool"].cast(pa.string())).set_column(2, "file", rows["file"].cast(pa.string()))


def _scores(table: pa.Table, rows: Integers | None = None) -> Floats:
    """Return the scores, NaN where there is none; those of `rows`, where given, with -1 for a row that is not there."""
    scores = table["score"].to_numpy().astype(np.float64)
    return scores if rows is None else np.append(scores, np.nan)[rows]


def _mean_rank_shift(before: pa.Table, now: pa.Table, before_ids: Sequence[str], now_ids: Sequence[str]) -> float | None:
    ids = pa.array(now_ids, pa.string())
    kept = ids.filter(pc.is_in(ids, value_set=pa.array(before_ids, pa.string())))
    if not len(kept):
        return None
    return float(np.abs(_standings(now, kept)["rank"].to_numpy() - _standings(before, kept)["rank"].to_numpy()).mean())


def _drift(pool: pa.ChunkedArray, both: NDArray[np.bool_], before: Floats, now: Floats) -> list[PoolDrift]:
    names, _, codes = _codes(pool.slice(0, 0), pool)
    codes, before, now = codes[both], before[both], now[both]
    counts, *sums = (np.bincount(codes, weights, len(names)) for weights in (None, before, now, (now - before) ** 2))
    return [
        PoolDrift(pool=name, examples=int(n), mean_before=b / n, mean_now=a / n, rms=(square / n) ** 0.5)
        for name, n, b, a, square in zip(names, counts.tolist(), *(total.tolist() for total in sums), strict=True)
        if n
    ]


def _first_moves(moved: pa.Table, change: str, shown: int) -> list[ExampleMove]:
    rows = moved.filter(pc.equal(moved["change"], change)).slice(0, shown).drop_columns(["change"])
    return [ExampleMove(text="", **row) for row in rows.to_pylist()]
