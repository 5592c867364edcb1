"""A score taken apart: into its checkpoints, and into the target examples that it is a mean of."""

from collections.abc import Sequence

import pyarrow as pa
import torch
from torch import Tensor

from less_core.errors import MissingArtifactError
from less_core.features.target_rows import TargetRows
from less_core.method.influence import Similarity
from less_core.method.quantization import pack
from less_core.scoring.by_features import Stored, TargetVectors, View
from less_core.storage.formats.features import read_feature_rows


def read_features(paths: Sequence[str], example_ids: Sequence[str]) -> dict[str, Stored]:
    """Return the features of some examples at one checkpoint.

    Raises:
        MissingArtifactError: One of them stands in none of the files, or a file is gone.
    """
    found: dict[str, Stored] = {}
    for path in paths:
        for rows in read_feature_rows(path):
            ids = rows.example_ids.to_pylist()
            places = [ids.index(example_id) for example_id in example_ids if example_id in ids]
            for place, feature in zip(places, rows.features[torch.tensor(places, dtype=torch.int64)].floats(), strict=True):
                found[ids[place]] = (feature, float(rows.norms[place]), rows.status[place])
    for example_id in example_ids:
        if example_id not in found:
            raise MissingArtifactError(
                f"features of example {example_id}", "a shard that holds them", f"none in {list(paths)}", "Run again."
            )
    return found


def subtask_similarities(at: Sequence[Stored], target: TargetVectors, similarity: Similarity, view: View) -> Tensor:
    """Return float32 [checkpoints, subtasks]: an example's similarity with each subtask at each checkpoint, before weights.

    Args:
        at: The example's feature at each checkpoint.
        target: What features are multiplied with.
        similarity: cosine, or the dot product.
        view: How stored features are scored.
    """
    return torch.stack([_scored(stored, similarity, view) @ vectors.T for stored, vectors in zip(at, target.vectors, strict=True)])


def example_similarities(
    at: Sequence[Stored],
    rows: TargetRows,
    features: Sequence[dict[str, Stored]],
    weights: Sequence[float],
    similarity: Similarity,
    view: View,
) -> Tensor:
    """Return float32 [target examples]: the weighted sum over checkpoints of an example's similarity with each target example.

    Args:
        at: The example's feature at each checkpoint.
        rows: The target's.
        features: Those of the target's examples, for each checkpoint by example id.
        weights: Of the checkpoints.
        similarity: cosine, or the dot product.
        view: How stored features are scored.
    """
    total = torch.zeros(len(rows.example_ids))
    for stored, of_targets, weight in zip(at, features, weights, strict=True):
        targets = torch.stack([_scored(of_targets[example_id], similarity, view) for example_id in rows.example_ids])
        total += weight * (targets @ _scored(stored, similarity, view))
    return total


def _scored(stored: Stored, similarity: Similarity, view: View) -> Tensor:
    packed, norm = view(pack(stored[0][None], "float32"), torch.tensor([stored[1]]))
    feature = packed.floats()[0]
    return feature * norm[0] if similarity == "dot" else feature


def find_by_prefix(ids: pa.ChunkedArray, prefix: str) -> list[str]:
    """Return the ids that begin with `prefix`, at most three: one is an answer, more are a question."""
    return [example_id for example_id in ids.to_pylist() if example_id.startswith(prefix)][:3]
