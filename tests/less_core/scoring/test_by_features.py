"""Scores of a shard from files, and the vectors of a target, in the cases that a plain run does not meet."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from less_core.errors import MissingArtifactError, NonFiniteGradientError
from less_core.features.rows import Features
from less_core.features.target_rows import TargetRows
from less_core.method.quantization import Packed, pack
from less_core.scoring.by_features import View, as_stored, score_shard, target_vectors
from less_core.storage.formats.features import write_feature_shard


def write(path: Path, ids: list[str], rows: Tensor, status: list[str] | None = None, norms: Tensor | None = None) -> str:
    count = len(ids)
    norms = torch.ones(count) if norms is None else norms
    features = Features(ids, rows, norms, torch.ones(count), [9] * count, [5] * count, status or ["ok"] * count)
    write_feature_shard(str(path), features, fingerprint="f", dtype="float32")
    return str(path)


def test_scores_count_an_example_once_that_two_files_hold_and_take_any_order(tmp_path) -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    ids = [f"e{i}" for i in range(6)]
    one = write(tmp_path / "1.parquet", [ids[3], ids[0], ids[1]], rows[[3, 0, 1]])
    two = write(tmp_path / "2.parquet", [ids[1], ids[2], ids[4], ids[5], "other"], torch.cat([rows[[1, 2, 4, 5]], rows[:1]]))
    vectors = [rows[:2], rows[2:4]]
    scored = score_shard(pa.array(ids[:5]), [[one, two], [two, one]], vectors, [0.75, 0.25])
    torch.testing.assert_close(scored.scores, 0.75 * rows[:5] @ rows[:2].T + 0.25 * rows[:5] @ rows[2:4].T)


def turned_and_halved(features: Packed, norms: Tensor) -> tuple[Packed, Tensor]:
    """A view: the first two dimensions in the other order, and norms to tell it by."""
    return pack(features.floats()[:, [1, 0]], "float32"), norms / 2


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("view", [as_stored, turned_and_halved])
def test_scores_are_those_of_the_view_with_its_norms_for_the_dot_product(tmp_path, similarity: str, view: View) -> None:
    rows = torch.nn.functional.normalize(torch.randn(5, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    norms = 10.0 ** torch.arange(-2, 3)
    ids = [f"e{i}" for i in range(5)]
    in_order = write(tmp_path / "1.parquet", ids, rows, norms=norms)
    mixed = write(
        tmp_path / "2.parquet", ["other", *ids[::-1]], torch.cat([rows[:1], rows.flip(0)]), norms=torch.cat([norms[:1], norms.flip(0)])
    )
    width = 64 if view is as_stored else 2
    vectors = [torch.randn(3, width, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    scored = score_shard(pa.array(ids), [[in_order], [mixed]], vectors, [0.75, 0.25], similarity, view)
    for place in range(5):
        seen = rows[place].tolist() if view is as_stored else rows[place, [1, 0]].tolist()
        length = float(norms[place]) * (1 if view is as_stored else 0.5) if similarity == "dot" else 1.0
        for subtask in range(3):
            products = [sum(a * b for a, b in zip(seen, at[subtask].tolist(), strict=True)) for at in vectors]
            expected = length * (0.75 * products[0] + 0.25 * products[1])
            assert float(scored.scores[place, subtask]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_dot_product_of_a_row_that_is_not_finite_spoils_no_other(tmp_path) -> None:
    rows = torch.eye(3, 64) * torch.tensor([1.0, 0.0, 1.0])[:, None]
    path = write(tmp_path / "1.parquet", ["a", "b", "c"], rows, ["ok", "nonfinite", "ok"], torch.tensor([2.0, torch.inf, 3.0]))
    for view in (as_stored, turned_and_halved):
        vectors = torch.ones(1, 64 if view is as_stored else 2)
        scored = score_shard(pa.array(["a", "b", "c"]), [[path]], [vectors], [1.0], "dot", view)
        assert torch.isnan(scored.scores[:, 0]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("fidelity", "similarity", "expected"),
    [
        ("less-code", "cosine", [[0.5, 0.5], [0.0, 1.0]]),
        ("paper", "cosine", [[0.6, 0.8], [0.0, 1.0]]),
        ("less-code", "dot", [[1.5, 2.0], [0.0, 4.0]]),
        ("paper", "dot", [[1.5, 2.0], [0.0, 4.0]]),
    ],
)
def test_target_vectors_take_features_and_norms_of_the_view(fidelity: str, similarity: str, expected: list[list[float]]) -> None:
    at = {"a": (torch.tensor([0.0, 1.0]), 6.0, "ok"), "b": (torch.tensor([1.0, 0.0]), 8.0, "ok")}
    found = target_vectors(TargetRows("t", ["a", "b", "b"], ["x", "x", "y"]), [at], fidelity, similarity, turned_and_halved)
    torch.testing.assert_close(found.vectors[0], torch.tensor(expected))


def test_scores_are_missing_where_any_checkpoint_has_a_flag(tmp_path) -> None:
    rows = torch.eye(3, 64)
    fine = write(tmp_path / "fine.parquet", ["a", "b", "c"], rows)
    flagged = write(tmp_path / "flagged.parquet", ["a", "b", "c"], rows, ["ok", "nonfinite", "ok"])
    scored = score_shard(pa.array(["a", "b", "c"]), [[fine], [flagged]], [rows, rows], [0.5, 0.5])
    assert scored.status == ["ok", "nonfinite", "ok"]
    assert torch.isnan(scored.scores).any(dim=1).tolist() == [False, True, False]


def test_example_without_features_is_an_error_that_names_it(tmp_path) -> None:
    path = write(tmp_path / "1.parquet", ["a"], torch.eye(1, 64))
    with pytest.raises(MissingArtifactError, match="features of example b"):
        score_shard(pa.array(["a", "b"]), [[path]], [torch.eye(1, 64)], [1.0])


def test_target_leaves_out_a_subtask_without_a_usable_example_and_counts_the_rest() -> None:
    at = {name: (torch.eye(4)[i], 2.0, "ok") for i, name in enumerate("abcd")} | {"d": (torch.zeros(4), 0.0, "no_label")}
    target = TargetRows("t", ["a", "b", "d", "d", "a"], ["x", "x", "x", "empty", "y"])
    found = target_vectors(target, [at], "less-code")
    scored = found.target
    assert (scored.subtasks, scored.examples, scored.unusable, scored.left_out) == (["x", "y"], 3, 2, ["empty (no_label)"])
    torch.testing.assert_close(found.vectors[0], torch.tensor([[0.5, 0.5, 0, 0], [1.0, 0, 0, 0]]))


def test_target_without_any_usable_example_is_an_error() -> None:
    with pytest.raises(NonFiniteGradientError, match=r"target t: expected at least one usable example, got s \(no_label\)"):
        target_vectors(TargetRows("t", ["a"], ["s"]), [{"a": (torch.zeros(4), 0.0, "no_label")}], "paper")
