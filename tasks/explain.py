"""Why examples were selected, or were not: their scores taken apart."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from less_core.data.words import plain_text
from less_core.errors import ConfigError
from less_core.features.requirements import sides_of
from less_core.features.target_rows import TargetRows
from less_core.files.parquet import read_columns
from less_core.files.whole import exists
from less_core.refs import ExamplesRef
from less_core.report.score_parts import Contribution, Neighbour, Why
from less_core.scoring.by_features import Stored, TargetVectors
from less_core.scoring.explanation import example_similarities, find_by_prefix, read_features, subtask_similarities
from less_core.selection.ranking import selection_ranks
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import find_rows, iterate_run_index
from less_core.storage.formats.manifest import Manifest, read_manifest
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.layout import Version
from less_core.storage.provenance import read_basis
from tasks.agree import find_version
from tasks.exact import read_parts
from tasks.influence import read_stored, vectors_of_targets, view_of
from tasks.rows import Rows
from tasks.scores import target_rows
from tasks.stage_task import stage_task

NEAREST = 3  # target examples shown
COLUMNS = ("example_id", "score", "best_subtask", "status")


@stage_task("explain {example_id}")
def explain_example(runs: str, selection: str, example_id: str) -> tuple[str, str, list[Why]]:
    """Return an example's whole id, its text and its scores for every target of a selection, taken apart.

    Args:
        runs: Where the results are.
        selection: ``name`` (its newest version) or ``name@version``.
        example_id: The first digits of it are enough.

    Raises:
        ConfigError: There is no such selection, or none or several such examples.
    """
    version = find_version(runs, selection)
    settings = parse_settings(read_basis(version).settings, where=selection)
    matches = find_by_prefix(read_columns(version.index("pool"), ["example_id"])["example_id"], example_id)
    if len(matches) != 1:
        do = "The scores file has the ids; their first digits are enough."
        raise ConfigError(f"example {example_id}", f"one example of {selection}", str(matches or "none"), do)
    whys = explain(settings, version, {target.name: matches for target in settings.targets})
    return matches[0], _texts(settings, version, matches)[matches[0]], [why for found in whys.values() for why in found.values()]


def explain(settings: SelectSettings, version: Version, wanted: dict[str, list[str]]) -> dict[str, dict[str, Why]]:
    """Return for each target the scores of some examples taken apart, by example id.

    Args:
        settings: Those that the version was made with.
        version: Its scores and features.
        wanted: For each target, ids of examples.
    """
    ids_of_all = pa.array(sorted({example_id for ids in wanted.values() for example_id in ids}), pa.string())
    scores_of = {target: read_columns(version.scores(target), COLUMNS) for target in wanted}
    scored = {e for scores in scores_of.values() for e in _scored(scores, ids_of_all)}
    parts = _Parts(settings, version, sorted(scored))
    found: dict[str, dict[str, Why]] = {}
    for target, ids in wanted.items():
        scores = scores_of[target]
        values = scores["score"].to_numpy().astype(np.float64)
        ranks = selection_ranks(scores["example_id"], values)
        selected = set(read_selected_ids(version.selected_ids(target)))
        found[target] = {}
        for example_id in ids:
            place = pc.index(scores["example_id"], example_id).as_py()
            usable = bool(np.isfinite(values[place]))
            subtask = scores["best_subtask"][place].as_py()
            found[target][example_id] = Why(
                target=target,
                score=float(values[place]) if usable else None,
                status=scores["status"][place].as_py(),
                rank=int(ranks[place]),
                scored=int(np.isfinite(values).sum()),
                selected=example_id in selected,
                best_subtask=subtask,
                contributions=parts.contributions(target, example_id, subtask) if usable else [],
                nearest=parts.nearest(target, example_id) if usable else [],
            )
    return found


def _scored(scores: pa.Table, ids: pa.Array) -> list[str]:
    """Return those of some examples that have a score."""
    rows = scores.filter(pc.is_in(scores["example_id"], value_set=ids))
    scored: list[str] = rows.filter(pc.is_finite(rows["score"]))["example_id"].to_pylist()
    return scored


class _Parts:
    """What scores are made of: exact influence, features, or nothing that a method keeps."""

    def __init__(self, settings: SelectSettings, version: Version, ids: Sequence[str]) -> None:
        self._settings = settings
        self._version = version
        self._exact = _ExactParts(settings, version, ids) if settings.scoring != "store" else None
        self._known = "target" in sides_of(settings) and exists(version.features("pool"))
        if not self._known:
            return
        targets = ExamplesRef(side="target", path=version.index("target"), encoding="", shards=0, examples=0)
        rows = target_rows(settings, targets)
        self._targets = read_stored(read_manifest(version.features("target")))
        self._rows: dict[str, TargetRows] = {of_target.name: of_target for of_target in rows}
        self._vectors: dict[str, TargetVectors] = {v.target.name: v for v in vectors_of_targets(settings, rows, self._targets)}
        self._manifest = read_manifest(version.features("pool"))
        self._at = _features(version, self._manifest, ids)

    def contributions(self, target: str, example_id: str, subtask: str) -> list[Contribution]:
        if self._exact:
            return self._exact.contributions(target, example_id, subtask)
        if not self._known:
            return []
        vectors = self._vectors[target]
        found = subtask_similarities(self._at[example_id], vectors, self._settings.influence.similarity, view_of(self._settings))
        column = found[:, vectors.target.subtasks.index(subtask)].tolist()
        return [
            Contribution(checkpoint=checkpoint.name, weight=checkpoint.weight, similarity=value)
            for checkpoint, value in zip(self._manifest.checkpoints, column, strict=True)
        ]

    def nearest(self, target: str, example_id: str) -> list[Neighbour]:
        if not self._known:
            return []
        rows = self._rows[target]
        weights = [checkpoint.weight for checkpoint in self._manifest.checkpoints]
        similarity, view = self._settings.influence.similarity, view_of(self._settings)
        values = example_similarities(self._at[example_id], rows, self._targets, weights, similarity, view)
        best = values.argsort(descending=True, stable=True)[:NEAREST].tolist()
        texts = _target_texts(self._settings, self._version, [rows.example_ids[place] for place in best])
        return [
            Neighbour(number=place + 1, subtask=rows.subtasks[place], similarity=float(values[place]), text=texts[rows.example_ids[place]])
            for place in best
        ]


class _ExactParts:
    """Exact influence of some examples at every checkpoint."""

    def __init__(self, settings: SelectSettings, version: Version, ids: Sequence[str]) -> None:
        self._dot = settings.influence.similarity == "dot"
        self._manifests, self._at = [], []
        self._places: dict[tuple[str, str], tuple[int, int]] = {}  # of a subtask: number of its part, column there
        for number, part in enumerate(read_parts(version.target_parts)):
            self._manifests.append(read_manifest(version.influence(number)))
            self._at.append(_features(version, self._manifests[-1], ids))
            self._places |= {(part.target, subtask): (number, column) for column, subtask in enumerate(part.subtasks)}

    def contributions(self, target: str, example_id: str, subtask: str) -> list[Contribution]:
        number, column = self._places[target, subtask]
        return [
            Contribution(checkpoint=c.name, weight=c.weight, similarity=float(products[column]) * (norm if self._dot else 1.0))
            for c, (products, norm, _) in zip(self._manifests[number].checkpoints, self._at[number][example_id], strict=True)
        ]


def _features(version: Version, manifest: Manifest, ids: Sequence[str]) -> dict[str, list[Stored]]:
    """Return the features of some pool examples at every checkpoint."""
    wanted = pa.array(ids, pa.string())
    found: dict[str, list[Stored]] = {}
    for number, index in enumerate(iterate_run_index(version.index("pool"))):
        here = index["example_id"].filter(pc.is_in(index["example_id"], value_set=wanted)).to_pylist()
        if here:
            at = [read_features(manifest.files[checkpoint.fingerprint][number], here) for checkpoint in manifest.checkpoints]
            found |= {example_id: [features[example_id] for features in at] for example_id in here}
    return found


def _texts(settings: SelectSettings, version: Version, ids: Sequence[str]) -> dict[str, str]:
    rows = Rows(settings, "pool")
    return {e: rows.example(*place).text for e, place in find_rows(version.index("pool"), ids).items()}


def _target_texts(settings: SelectSettings, version: Version, ids: Sequence[str]) -> dict[str, str]:
    rows = Rows(settings, "target")
    return {e: " ".join(plain_text(rows.example(*place)).split()) for e, place in find_rows(version.index("target"), ids).items()}
