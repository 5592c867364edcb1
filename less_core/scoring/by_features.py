"""From feature shards to influence scores, a row group at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from less_core.errors import MissingArtifactError
from less_core.features.rows import OK
from less_core.features.target_rows import ScoredTarget, TargetRows, usable_target
from less_core.method.adam import Fidelity
from less_core.method.influence import Similarity, add_influence, subtask_vectors
from less_core.method.quantization import Packed, pack
from less_core.storage.formats.features import read_feature_rows


@dataclass(frozen=True)
class TargetVectors:
    """What train features are multiplied with for one target."""

    target: ScoredTarget
    vectors: list[Tensor]  # a checkpoint each, float32 [subtasks, dim]


Stored = tuple[Tensor, float, str]  # a target example's feature [dim], norm and status
View = Callable[[Packed, Tensor], tuple[Packed, Tensor]]  # features and norms as they are stored -> as they are scored


@dataclass(frozen=True)
class ShardScores:
    """Scores of one shard's examples."""

    scores: Tensor  # float32 [examples, subtasks of all targets], NaN where the status is not ok
    status: list[str]  # the first that is not ok over the checkpoints, else ok


def as_stored(features: Packed, norms: Tensor) -> tuple[Packed, Tensor]:
    """Score features as they are."""
    return features, norms


def target_vectors(
    target: TargetRows,
    features: Sequence[Mapping[str, Stored]],
    fidelity: Fidelity,
    similarity: Similarity = "cosine",
    view: View = as_stored,
) -> TargetVectors:
    """Return a target's subtask vectors at every checkpoint.

    Args:
        target: Its rows.
        features: For each checkpoint by example id: feature [dim], norm, status.
        fidelity: Whether examples are averaged before or after they are normalised.
        similarity: cosine, or the dot product.
        view: How stored features are scored; the same as for the pool's.

    Raises:
        NonFiniteGradientError: No example of the target is usable.
    """
    usable = usable_target(target, [{example_id: stored[2] for example_id, stored in at.items()} for at in features])
    rows = [(e, number) for number, ids in enumerate(usable.by_subtask) for e in ids]
    subtask_of = torch.tensor([subtask for _, subtask in rows])
    vectors = []
    for at in features:
        stored = pack(torch.stack([at[e][0] for e, _ in rows]), "float32")
        seen, norms = view(stored, torch.tensor([at[e][1] for e, _ in rows]))
        vectors.append(subtask_vectors(seen.floats(), norms, subtask_of, len(usable.by_subtask), fidelity, similarity))
    return TargetVectors(usable.scored, vectors)


def score_shard(
    example_ids: pa.Array,
    files: Sequence[Sequence[str]],
    vectors: Sequence[Tensor],
    weights: Sequence[float],
    similarity: Similarity = "cosine",
    view: View = as_stored,
) -> ShardScores:
    """Return the scores of some examples, reading their features once, a row group at a time.

    Args:
        example_ids: Distinct.
        files: For each checkpoint, the shards that hold them.
        vectors: For each checkpoint, float32 [subtasks, dim].
        weights: For each checkpoint, w_i.
        similarity: cosine, or the dot product.
        view: How stored features are scored.

    Raises:
        MissingArtifactError: An example has no feature at a checkpoint.
        CorruptArtifactError: A shard does not verify.
    """
    count = len(example_ids)
    scores = torch.zeros(count, len(vectors[0]))
    status = np.full(count, OK, dtype=object)
    for paths, at_checkpoint, weight in zip(files, vectors, weights, strict=True):
        done = np.zeros(count, dtype=bool)
        for path in paths:
            for rows in read_feature_rows(path):
                found = pc.index_in(rows.example_ids, value_set=example_ids).fill_null(-1).to_numpy()
                # Two runs at once may both have written an example; it counts once.
                keep = np.flatnonzero((found >= 0) & ~done[np.maximum(found, 0)])
                place = found[keep]
                done[place] = True
                for row in np.flatnonzero(np.array(rows.status, dtype=object)[keep] != OK):
                    status[place[row]] = rows.status[keep[row]]
                features, norms = view(rows.features, rows.norms)
                scale = norms if similarity == "dot" else None
                if len(place) == len(found) and np.array_equal(place, np.arange(place[0], place[0] + len(place))):
                    add_influence(scores[place[0] : place[-1] + 1], features, at_checkpoint, weight, scale)
                elif len(place):
                    part = torch.zeros(len(place), scores.shape[1])
                    kept = torch.from_numpy(keep)
                    add_influence(part, features[kept], at_checkpoint, weight, scale[kept] if scale is not None else None)
                    scores[torch.from_numpy(place)] += part
        if not done.all():
            missing = example_ids[int(np.argmin(done))].as_py()
            raise MissingArtifactError(f"features of example {missing}", "a shard that holds them", f"none in {list(paths)}", "Run again.")
    scores[torch.from_numpy(status != OK)] = torch.nan
    return ShardScores(scores, status.tolist())
