"""Files of the LESS scripts, made here in the shapes that collect_grad_reps.py, matching.py and write_selected_data.py have."""

import csv
import io
import os
from pathlib import Path

import fsspec
import pytest
import torch
from torch import Tensor

from less_core.errors import CorruptArtifactError, DataError, MissingArtifactError
from less_core.files.whole import list_files, read_bytes, write_whole
from less_core.method.influence import add_influence, best_subtask, subtask_vectors
from less_core.method.quantization import pack
from less_core.storage.formats.less_scripts import gradients_digest, read_gradients, write_influence_scores, write_sorted, write_top

EVERY = 160  # examples a piece
DIM = 64


def save(path: str, value: object, **options: bool) -> None:
    with write_whole(path) as file:
        torch.save(value, file, **options)


def load(path: str) -> Tensor:
    return torch.load(io.BytesIO(read_bytes(path, made_by="a test")), weights_only=True)


def gradients(count: int, seed: int = 0, dim: int = DIM) -> Tensor:
    return (3 * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))).half()


def write_pieces(folder: str, rows: Tensor) -> list[str]:
    paths = []
    for start in range(0, len(rows), EVERY):
        piece = rows[start : start + EVERY].clone()
        paths.append(f"{folder}/grads-{start + len(piece)}.pt")
        save(paths[-1], piece)
    return paths


def write_as_less(folder: str, rows: Tensor) -> None:
    """Pieces stay where they are when they have been merged."""
    pieces = [load(path) for path in write_pieces(folder, rows)]
    save(f"{folder}/all_orig.pt", torch.cat([torch.nn.functional.normalize(piece, dim=1) for piece in pieces]))
    save(f"{folder}/all_unormalized.pt", torch.cat(pieces))


def remove(path: str) -> None:
    file_system, inner = fsspec.core.url_to_fs(path)
    file_system.rm(inner)


def test_gradients_of_a_folder_are_the_merged_ones_with_their_norms(folder: str) -> None:
    rows = gradients(1000)
    write_as_less(folder, rows)
    read = read_gradients(folder)
    assert read.dtype == torch.float16
    assert torch.equal(read, rows)
    assert torch.equal(read_gradients(f"{folder}/"), rows)


def test_gradients_of_a_folder_are_its_pieces_by_number_where_none_are_merged(folder: str) -> None:
    rows = gradients(1000)  # as text, grads-1000 comes before grads-160
    write_pieces(folder, rows)
    save(f"{folder}/all_orig.pt", torch.nn.functional.normalize(rows, dim=1))
    save(f"{folder}/grads-mean.pt", rows[:1])
    assert torch.equal(read_gradients(folder), rows)


def test_gradients_of_a_folder_are_the_normalised_ones_where_nothing_else_is_left(folder: str) -> None:
    rows = gradients(7).float()
    save(f"{folder}/all_orig.pt", torch.nn.functional.normalize(rows, dim=1))
    torch.testing.assert_close(read_gradients(folder).norm(dim=1), torch.ones(7))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("zipped", [True, False])
def test_gradients_of_a_file_keep_their_dtype_whatever_form_torch_saved(folder: str, dtype: torch.dtype, zipped: bool) -> None:
    rows = gradients(5).to(dtype)
    save(f"{folder}/grads-320.pt", rows, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_gradients(f"{folder}/grads-320.pt"), rows)
    assert read_gradients(f"{folder}/grads-320.pt").dtype == dtype


MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="the system does not tell what is mapped")
def test_gradients_of_a_local_file_are_mapped_and_not_read(tmp_path: Path) -> None:
    save(str(tmp_path / "all_unormalized.pt"), gradients(8))
    rows = read_gradients(str(tmp_path))
    assert str(tmp_path / "all_unormalized.pt") in MAPS.read_text()
    assert torch.equal(rows, gradients(8))


def test_scores_from_the_files_are_those_of_the_scripts(folder: str) -> None:
    subtasks, shots = 9, 3
    train, target = gradients(400), gradients(subtasks * shots, seed=1)
    write_as_less(f"{folder}/train", train)
    write_as_less(f"{folder}/target", target)
    products = load(f"{folder}/train/all_orig.pt").float() @ load(f"{folder}/target/all_orig.pt").float().T
    expected = products.reshape(len(train), subtasks, -1).mean(-1).max(-1)[0]
    unit = [torch.nn.functional.normalize(read_gradients(f"{folder}/{name}").float(), dim=1) for name in ("train", "target")]
    scores = torch.zeros(len(train), subtasks)
    subtask_of = torch.arange(subtasks).repeat_interleave(shots)
    add_influence(
        scores, pack(unit[0], "float32"), subtask_vectors(unit[1], torch.ones(len(target)), subtask_of, subtasks, "less-code"), 1.0
    )
    torch.testing.assert_close(best_subtask(scores)[0], expected, atol=1e-3, rtol=0)  # the scripts normalise in float16


@pytest.mark.parametrize("found", ["no folder", "an empty folder", "a folder of others"])
def test_gradients_that_are_not_there_are_a_missing_artifact(tmp_path: Path, found: str) -> None:
    folder = tmp_path / "dim8192"
    if found != "no folder":
        folder.mkdir()
    if found == "a folder of others":
        save(str(folder / "reps-160.pt"), gradients(2))
    for read in (read_gradients, gradients_digest):
        with pytest.raises(MissingArtifactError, match="dim8192: expected"):
            read(str(folder))


@pytest.mark.parametrize("lost", [160, 320, 480])
def test_a_missing_piece_is_noticed(folder: str, lost: int) -> None:
    write_pieces(folder, gradients(500))
    remove(f"{folder}/grads-{lost}.pt")
    after = min(lost + EVERY, 500)
    with pytest.raises(CorruptArtifactError, match=rf"grads-{after}\.pt: expected {after - lost + EVERY} rows.*piece before"):
        read_gradients(folder)


def test_the_only_piece_that_is_left_is_not_taken_for_the_whole(folder: str) -> None:
    save(f"{folder}/grads-320.pt", gradients(EVERY))
    with pytest.raises(CorruptArtifactError, match=r"grads-320\.pt: expected 320 rows, 0 to 319, got 160"):
        read_gradients(folder)


def test_pieces_of_another_dim_are_refused(folder: str) -> None:
    write_pieces(folder, gradients(EVERY))
    save(f"{folder}/grads-161.pt", gradients(1, dim=DIM // 2))
    with pytest.raises(CorruptArtifactError, match=rf"grads-161\.pt: expected dim {DIM} as in .*grads-160\.pt, got {DIM // 2}"):
        read_gradients(folder)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (gradients(1)[0], r"float16 \[64\]"),
        (gradients(8).view(2, 4, DIM), r"float16 \[2, 4, 64\]"),
        (torch.ones(2, 3, dtype=torch.int64), r"int64 \[2, 3\]"),
        (torch.eye(3).to_sparse(), r"float32 \[3, 3\]"),
        ({"grads": gradients(2)}, "dict"),
        ([[1.0, 2.0]], "list"),
    ],
)
def test_what_is_not_a_matrix_of_floats_is_refused(folder: str, value: object, got: str) -> None:
    save(f"{folder}/all_unormalized.pt", value)
    with pytest.raises(CorruptArtifactError, match=rf"all_unormalized\.pt: expected a dense tensor of floats.*got .*{got}"):
        read_gradients(folder)


@pytest.mark.parametrize("shape", [(0, DIM), (4, 0)])
def test_no_examples_are_an_error_of_the_data(folder: str, shape: tuple[int, int]) -> None:
    save(f"{folder}/all_unormalized.pt", torch.zeros(shape))
    with pytest.raises(DataError, match=r"all_unormalized\.pt: expected at least one example"):
        read_gradients(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_rows_that_are_not_finite_are_kept_as_the_scripts_keep_them(folder: str, value: float) -> None:
    rows = gradients(30, dim=4)
    rows[25, 1] = value
    save(f"{folder}/all_unormalized.pt", rows)
    assert read_gradients(folder).isfinite().all(dim=1).tolist() == [row != 25 for row in range(30)]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torn_file_is_a_corrupt_artifact_wherever_it_was_cut(folder: str, zipped: bool) -> None:
    save(f"{folder}/all_unormalized.pt", gradients(8), _use_new_zipfile_serialization=zipped)
    whole = read_bytes(f"{folder}/all_unormalized.pt", made_by="a test")
    for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        with write_whole(f"{folder}/all_unormalized.pt") as file:
            file.write(whole[:cut])
        with pytest.raises(CorruptArtifactError, match=r"all_unormalized\.pt: expected a whole file of one plain tensor, got \w+"):
            read_gradients(folder)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["all_unormalized.pt", "all_orig.pt", "grads-1.pt"])
def test_what_a_file_carries_never_runs(folder: str, tmp_path: Path, name: str, zipped: bool) -> None:
    save(f"{folder}/{name}", [gradients(1), Bomb(tmp_path / "ran")], _use_new_zipfile_serialization=zipped)
    with pytest.raises(CorruptArtifactError, match="one plain tensor") as caught:
        read_gradients(folder)
    assert not (tmp_path / "ran").exists()
    assert "weights_only" not in str(caught.value)  # no advice to run it
    gradients_digest(folder)
    assert not (tmp_path / "ran").exists()


def test_digest_follows_what_would_be_read_and_not_where_it_stands(folder: str) -> None:
    rows = gradients(400)
    write_as_less(f"{folder}/a", rows)
    write_as_less(f"{folder}/b", rows)
    digest = gradients_digest(f"{folder}/a")
    assert digest == gradients_digest(f"{folder}/b") == gradients_digest(f"{folder}/a/all_unormalized.pt")
    remove(f"{folder}/b/all_orig.pt")  # is not read
    assert gradients_digest(f"{folder}/b") == digest
    remove(f"{folder}/b/all_unormalized.pt")
    pieces = gradients_digest(f"{folder}/b")
    assert pieces != digest
    save(f"{folder}/b/grads-320.pt", rows[:EVERY].clone())
    assert gradients_digest(f"{folder}/b") not in (digest, pieces)


SCORES = {
    "flan_v2": torch.tensor([0.25, float("nan"), -0.1234567, 0.5]),
    "cot": torch.tensor([0.5, float("-inf"), 1e-9, 0.25], dtype=torch.float64),
}


def test_influence_scores_are_a_file_a_pool_as_the_scripts_load_them(folder: str) -> None:
    pools = {"flan_v2": torch.randn(1_000_000)[:3], "cot": SCORES["cot"]}
    write_influence_scores(folder, "bbh", pools)
    assert [path.rpartition("/")[2] for path in list_files(f"{folder}/bbh", "")] == ["cot_influence_score.pt", "flan_v2_influence_score.pt"]
    for pool, scores in pools.items():
        read = load(f"{folder}/bbh/{pool}_influence_score.pt")
        assert read.dtype == torch.float32
        assert torch.equal(read, scores.float())
    assert len(read_bytes(f"{folder}/bbh/flan_v2_influence_score.pt", made_by="a test")) < 10_000


def test_sorted_is_in_the_order_of_ranks_with_what_has_none_last(folder: str) -> None:
    # Rows 3 of one pool and 0 of the other are of one example; of two examples with a score, the ranks say which comes first.
    ranks = {"flan_v2": torch.tensor([3, 0, 5, 1]), "cot": torch.tensor([1, 0, 4, 2])}
    write_sorted(folder, "bbh", SCORES, ranks)
    assert read_bytes(f"{folder}/bbh/sorted.csv", made_by="a test").decode() == (
        "file name, index, score\n"
        "flan_v2, 3, 0.5\n"
        "cot, 0, 0.5\n"
        "cot, 3, 0.25\n"
        "flan_v2, 0, 0.25\n"
        "cot, 2, 0.0\n"
        "flan_v2, 2, -0.123457\n"
        "flan_v2, 1, nan\n"
        "cot, 1, -inf\n"
    )


def test_sorted_is_the_order_of_the_scripts_where_all_scores_are_finite_and_differ(folder: str) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = {"a": torch.rand(300, generator=generator), "b": torch.rand(200, generator=generator)}
    write_influence_scores(folder, "mmlu", scores)
    every = torch.cat(list(scores.values()))
    rank = 1 + every.argsort(descending=True).argsort()
    write_sorted(folder, "mmlu", scores, {"a": rank[:300], "b": rank[300:]})
    loaded = torch.cat([load(f"{folder}/mmlu/{pool}_influence_score.pt") for pool in scores])
    best, order = torch.sort(loaded, dim=0, descending=True)
    pool_of = torch.cat([torch.full((300,), 0), torch.full((200,), 1)])[order]
    row_of = torch.cat([torch.arange(300), torch.arange(200)])[order]
    expected = [["ab"[pool_of[i]], str(row_of[i].item()), str(round(best[i].item(), 6))] for i in range(500)]
    text = read_bytes(f"{folder}/mmlu/sorted.csv", made_by="a test").decode()
    assert list(csv.reader(text.splitlines(), skipinitialspace=True)) == [["file name", "index", "score"], *expected]


@pytest.mark.parametrize("name", ["p0.05", "num1000"])
def test_top_has_the_rows_byte_for_byte_a_line_each(folder: str, name: str) -> None:
    rows = [b'{"id": "\xc3\xbc"}', b'{ "not" : "\xff utf-8" }\t']
    write_top(folder, "tydiqa", name, iter(rows))
    assert read_bytes(f"{folder}/tydiqa/top_{name}.jsonl", made_by="a test") == b'{"id": "\xc3\xbc"}\n{ "not" : "\xff utf-8" }\t\n'


def test_top_is_whole_or_not_there(folder: str) -> None:
    def rows() -> object:
        yield b"{}"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_top(folder, "tydiqa", "p0.05", rows())
    assert list_files(f"{folder}/tydiqa", "") == []
