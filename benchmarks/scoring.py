"""Scoring from feature shards, stored in several ways, against reading the same bytes and multiplying them.

    python benchmarks/scoring.py [--examples 100000] [--forms float16:8192,int8:8192,sign:8192,sign:65536] [--subtasks 57]

floor       the stored bytes in plain files, read in pieces of a row group, widened and multiplied with torch
ours        `score_shard` over Parquet shards: ids matched, every page's checksum verified

Rounds alternate. Peak memory is that of a process of its own that does nothing but score, over all shards and over a quarter of them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from less_core.features.rows import Features
from less_core.method.influence import PIECE
from less_core.method.quantization import SCALED, Packed, pack, row_bytes
from less_core.scoring.by_features import score_shard
from less_core.storage.formats.features import DTYPES, ROW_GROUP, write_feature_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--forms", default="float16:8192,int8:8192,sign:8192,sign:65536", help="storage:dim of each")
    parser.add_argument("--subtasks", type=int, default=57)
    parser.add_argument("--shard-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, default=1.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    forms = [(storage, int(dim)) for storage, _, dim in (form.partition(":") for form in arguments.forms.split(","))]
    if arguments.folder:
        score(arguments.folder, vectors_of(arguments.subtasks, forms[0][1]), arguments.share)
        print(peak_of_this_process())
        return
    print(f"{arguments.examples:,} examples, {arguments.subtasks} subtasks; best of {arguments.rounds} rounds")
    print("| stored as | dim | bytes an example | s | GB/s | time / floor | peak GiB, a quarter | peak GiB, all |\n|" + " --- |" * 8)
    for storage, dim in forms:
        with tempfile.TemporaryDirectory() as name:
            write(Path(name), storage, dim, arguments)
            report(Path(name), storage, dim, arguments)


def vectors_of(subtasks: int, dim: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(subtasks, dim, generator=torch.Generator().manual_seed(1)), dim=1)


def write(folder: Path, storage: str, dim: int, arguments: argparse.Namespace) -> None:
    generator = torch.Generator().manual_seed(0)
    for start in range(0, arguments.examples, arguments.shard_size):
        count = min(arguments.shard_size, arguments.examples - start)
        rows = torch.nn.functional.normalize(torch.randn(count, dim, generator=generator), dim=1)
        ids = [f"{i:032x}" for i in range(start, start + count)]
        features = Features(ids, rows, torch.ones(count), torch.ones(count), [100] * count, [50] * count, ["ok"] * count)
        write_feature_shard(str(folder / f"{start:09}.parquet"), features, fingerprint="benchmark", dtype=storage)
        packed = pack(rows, storage)
        packed.values.numpy().astype(DTYPES[storage]).tofile(folder / f"{start:09}.raw")
        (packed.scales if packed.scales is not None else torch.ones(count)).numpy().tofile(folder / f"{start:09}.scales")


def report(folder: Path, storage: str, dim: int, arguments: argparse.Namespace) -> None:
    vectors = vectors_of(arguments.subtasks, dim)
    seconds: dict[str, list[float]] = {"floor": [], "ours": []}
    for _ in range(arguments.rounds):
        for name in seconds:
            started = time.perf_counter()
            result = score(folder, vectors) if name == "ours" else multiply(folder, storage, vectors)
            seconds[name].append(time.perf_counter() - started)
            assert result.shape == (arguments.examples, arguments.subtasks)
    torch.testing.assert_close(score(folder, vectors), multiply(folder, storage, vectors), atol=1e-5, rtol=0)
    floor, ours = min(seconds["floor"]), min(seconds["ours"])
    gigabytes = arguments.examples * row_bytes(storage, dim) / 1e9
    quarter, whole = (peak_memory(folder, storage, dim, share) for share in (0.25, 1.0))
    print(
        f"| {storage} | {dim} | {row_bytes(storage, dim):,} | {ours:.2f} | {gigabytes / ours:.2f} | {ours / floor:.2f} "
        f"| {quarter:.2f} | {whole:.2f} |",
        flush=True,
    )


def multiply(folder: Path, storage: str, vectors: Tensor) -> Tensor:
    dim = vectors.shape[1]
    width = dim // 8 if storage == "sign" else dim
    buffer = torch.empty(PIECE, dim)
    scores = []
    for path in sorted(folder.glob("*.raw")):
        scales = torch.from_numpy(np.fromfile(path.with_suffix(".scales"), dtype="<f4"))
        done = 0
        with path.open("rb") as file:
            while (piece := np.fromfile(file, dtype=DTYPES[storage], count=ROW_GROUP * width)).size:
                rows = Packed(storage, torch.from_numpy(piece).view(-1, width))
                for part in rows.pieces(PIECE):
                    found = part.widen(buffer[: len(part)]) @ vectors.T
                    scores.append(found * scales[done : done + len(part), None] if storage in SCALED else found)
                    done += len(part)
    return torch.cat(scores)


def score(folder: Path, vectors: Tensor, share: float = 1.0) -> Tensor:
    scores = []
    paths = sorted(folder.glob("*.parquet"))
    for path in paths[: max(1, round(share * len(paths)))]:
        ids = pq.read_table(path, columns=["example_id"])["example_id"].combine_chunks()
        scores.append(score_shard(ids, [[str(path)]], [vectors], [1.0]).scores)
    return torch.cat(scores)


def peak_of_this_process() -> float:
    """Return GiB. Not of getrusage, which a child begins with its parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def peak_memory(folder: Path, storage: str, dim: int, share: float) -> float:
    command = [sys.executable, *sys.argv, "--folder", str(folder), "--forms", f"{storage}:{dim}", "--share", str(share)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
