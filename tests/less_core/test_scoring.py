"""Scores of a shard from files, and the vectors of a target, in the cases that a plain run does not meet."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from less_core.errors import MissingArtifactError, NonFiniteGradientError
from less_core.extraction import Features
from less_core.scoring import TargetRows, score_shard, target_vectors
from less_core.storage.features import write_feature_shard


def write(path: Path, ids: list[str], rows: torch.Tensor, status: list[str] | None = None) -> str:
    count = len(ids)
    features = Features(ids, rows, torch.ones(count), torch.ones(count), [9] * count, [5] * count, status or ["ok"] * count)
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
    assert (found.subtasks, found.examples, found.unusable, found.left_out) == (["x", "y"], 3, 2, ["empty (no_label)"])
    torch.testing.assert_close(found.vectors[0], torch.tensor([[0.5, 0.5, 0, 0], [1.0, 0, 0, 0]]))


def test_target_without_any_usable_example_is_an_error() -> None:
    with pytest.raises(NonFiniteGradientError, match=r"target t: expected at least one usable example, got s \(no_label\)"):
        target_vectors(TargetRows("t", ["a"], ["s"]), [{"a": (torch.zeros(4), 0.0, "no_label")}], "paper")
