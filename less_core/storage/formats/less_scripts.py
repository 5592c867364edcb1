"""The files of the LESS scripts: gradients read, scores and selections written. No pickle is ever executed.

A folder of gradients (``.../dim8192``) holds ``grads-<count>.pt`` for every 160 examples, and, once all are made, ``all_unormalized.pt``
and ``all_orig.pt``: the pieces in one, as they are and with every row of norm 1. Rows stand in the order of the data's file.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping

import fsspec
import torch
from fsspec.implementations.local import LocalFileSystem
from torch import Tensor

from less_core.errors import CorruptArtifactError, DataError, MissingArtifactError
from less_core.files.fingerprint import fingerprint, fingerprint_bytes
from less_core.files.whole import exists, list_files, write_whole

MERGED, NORMALISED = "all_unormalized.pt", "all_orig.pt"
PIECE = re.compile(r"grads-(\d+)\.pt")  # the number of examples up to its end
READ_AT_ONCE = 1 << 22  # bytes
_DO = "Copy the file again, or run get_info of the LESS scripts again."


def read_gradients(path: str) -> Tensor:
    """Return projected gradients [examples, dim] as stored, in a file's own dtype; rows have norms wherever some file has them.

    A row that is not finite is of an example that had no label left, or overflowed: the scripts keep it.

    A local file of today's form is mapped, not read: do not write to the result.

    Args:
        path: A file, or a folder: its `all_unormalized.pt`, else its pieces in order of their number, else its `all_orig.pt`.

    Raises:
        MissingArtifactError: There is no such file.
        CorruptArtifactError: One is torn, is more than a tensor, has another shape, or a piece is missing between others.
        DataError: There are no examples.
    """
    files = _files(path)
    tensors = [_read(file) for file in files]
    if files != [path]:
        _check_pieces(files, tensors)
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def has_norms(path: str) -> bool:
    """Tell whether the rows that `read_gradients` would read are as long as they were; a single file is taken at its name."""
    return not _files(path)[0].endswith(NORMALISED)


def gradients_digest(path: str) -> str:
    """Return the address of the content of the files that `read_gradients` would read, wherever they stand.

    Raises:
        MissingArtifactError: There is no such file.
    """
    return fingerprint([fingerprint_bytes(_bytes(file)) for file in _files(path)])


def write_influence_scores(folder: str, target: str, scores: Mapping[str, Tensor]) -> None:
    """Write each pool's scores, float32 [rows of its file], to ``<folder>/<target>/<pool>_influence_score.pt``."""
    for pool, values in scores.items():
        with write_whole(f"{folder}/{target}/{pool}_influence_score.pt") as file:
            torch.save(values.to("cpu", torch.float32, copy=True), file)  # a view would be saved with all it is a view of


def write_sorted(folder: str, target: str, scores: Mapping[str, Tensor], ranks: Mapping[str, Tensor]) -> None:
    """Write ``<folder>/<target>/sorted.csv``: pool, row and score, best first, in the order that the selection goes by.

    Rows without a rank come last. The scripts put NaN first, and so would select what has no label.

    Args:
        folder: Of all targets.
        target: Its name.
        scores: Of each pool, float32 [rows of its file].
        ranks: Of each pool, int64 [rows of its file]: 1 is best, 0 where a row has none. Rows of one example share a rank.
    """
    values = torch.cat(list(scores.values())).to("cpu", torch.float32)
    places = [(pool, row) for pool, rows in scores.items() for row in range(len(rows))]
    rank = torch.cat([ranks[pool] for pool in scores])
    order = torch.where(rank > 0, rank, len(rank) + 1).sort(stable=True).indices
    with write_whole(f"{folder}/{target}/sorted.csv") as file:
        file.write(b"file name, index, score\n")
        for place, score in zip(order.tolist(), values[order].tolist(), strict=True):
            pool, row = places[place]
            file.write(f"{pool}, {row}, {round(score, 6)}\n".encode())


def write_top(folder: str, target: str, name: str, rows: Iterable[bytes]) -> None:
    """Write ``<folder>/<target>/top_<name>.jsonl``.

    Args:
        folder: Of all targets.
        target: Its name.
        name: What was asked for: `p0.05`, a share, or `num1000`, a count.
        rows: The selected lines of the pools' files, without their ends, best first.
    """
    with write_whole(f"{folder}/{target}/top_{name}.jsonl") as file:
        for row in rows:
            file.write(row + b"\n")


def _files(path: str) -> list[str]:
    file_system, inner = fsspec.core.url_to_fs(path)
    if not file_system.isdir(inner):
        if not file_system.exists(inner):
            raise MissingArtifactError(path, "gradients of the LESS scripts", "nothing there", "Check the path.")
        return [path]
    folder = path.rstrip("/")
    if exists(f"{folder}/{MERGED}"):
        return [f"{folder}/{MERGED}"]
    pieces = sorted((file for file in list_files(folder, ".pt") if _piece_end(file)), key=_piece_end)
    if pieces:
        return pieces
    if exists(f"{folder}/{NORMALISED}"):
        return [f"{folder}/{NORMALISED}"]
    raise MissingArtifactError(path, f"{MERGED}, grads-<count>.pt or {NORMALISED}", "none of these", "Name a folder such as .../dim8192.")


def _piece_end(file: str) -> int:
    """Return the number in a piece's name; 0 for other files."""
    match = PIECE.fullmatch(file.rpartition("/")[2])
    return int(match[1]) if match else 0


def _read(path: str) -> Tensor:
    file_system, inner = fsspec.core.url_to_fs(path)
    try:
        with file_system.open(inner, "rb") as file:
            # Only files in the form of a zip archive can be mapped; older ones, and those elsewhere, are read.
            mapped = isinstance(file_system, LocalFileSystem) and zipfile.is_zipfile(file)
            file.seek(0)
            loaded = torch.load(inner if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever a hostile or torn file provokes
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # torch's own text goes on with advice to run the file.
        got = f"{type(error).__name__}: {str(error).partition('. ')[0].strip()[:200]}".rstrip(": ")
        raise CorruptArtifactError(path, "a whole file of one plain tensor", got, f"Files that run code are refused. {_DO}") from None
    if not isinstance(loaded, Tensor) or loaded.dim() != 2 or not _is_plain(loaded):
        got = f"{loaded.dtype} {list(loaded.shape)} on {loaded.device}" if isinstance(loaded, Tensor) else type(loaded).__name__
        raise CorruptArtifactError(path, "a dense tensor of floats [examples, dim]", got, "Name the gradients that collect_grads saved.")
    if not loaded.numel():
        raise DataError(path, "at least one example", f"a tensor of shape {list(loaded.shape)}", _DO)
    return loaded


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided and tensor.device.type == "cpu"


def _check_pieces(files: list[str], tensors: list[Tensor]) -> None:
    """Check that pieces follow on one another, since a row's number is all that says which example it is of."""
    before = 0
    for file, rows in zip(files, tensors, strict=True):
        if rows.shape[1] != tensors[0].shape[1]:
            raise CorruptArtifactError(file, f"dim {tensors[0].shape[1]} as in {files[0]}", str(rows.shape[1]), _DO)
        end = _piece_end(file)
        if end and end != before + len(rows):
            expected = f"{end - before} rows, {before} to {end - 1}"
            raise CorruptArtifactError(file, expected, str(len(rows)), f"A piece before it may be missing. {_DO}")
        before = end


def _bytes(path: str) -> Iterator[bytes]:
    with fsspec.open(path, "rb") as file:
        while piece := file.read(READ_AT_ONCE):
            yield piece
