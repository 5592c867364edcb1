"""Scoring from feature shards against reading the same bytes and multiplying them.

    python benchmarks/scoring.py [--examples 100000] [--dim 8192] [--subtasks 57]

floor       the stored bytes in plain files, read in pieces of a row group and multiplied with torch
ours        `score_shard` over Parquet shards: ids matched, every page's checksum verified

Rounds alternate. Peak memory is that of a process of its own that does nothing but score.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from less_core.extraction import Features
from less_core.scoring import score_shard
from less_core.storage.features import ROW_GROUP, write_feature_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--subtasks", type=int, default=57)
    parser.add_argument("--shard-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    vectors = torch.nn.functional.normalize(torch.randn(arguments.subtasks, arguments.dim), dim=1)
    if arguments.folder:
        score(arguments.folder, vectors)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments)
        report(folder, vectors, arguments)


def write(folder: Path, arguments: argparse.Namespace) -> None:
    generator = torch.Generator().manual_seed(0)
    for start in range(0, arguments.examples, arguments.shard_size):
        count = min(arguments.shard_size, arguments.examples - start)
        rows = torch.nn.functional.normalize(torch.randn(count, arguments.dim, generator=generator), dim=1)
        ids = [f"{i:032x}" for i in range(start, start + count)]
        features = Features(ids, rows, torch.ones(count), torch.ones(count), [100] * count, [50] * count, ["ok"] * count)
        write_feature_shard(str(folder / f"{start:09}.parquet"), features, fingerprint="benchmark", dtype="float16")
        rows.numpy().astype("<f2").tofile(folder / f"{start:09}.raw")


def report(folder: Path, vectors: torch.Tensor, arguments: argparse.Namespace) -> None:
    seconds: dict[str, list[float]] = {"floor": [], "ours": []}
    for _ in range(arguments.rounds):
        for name, run in (("floor", multiply), ("ours", score)):
            started = time.perf_counter()
            result = run(folder, vectors)
            seconds[name].append(time.perf_counter() - started)
            assert result.shape == (arguments.examples, arguments.subtasks)
    torch.testing.assert_close(score(folder, vectors), multiply(folder, vectors), atol=1e-5, rtol=0)
    gigabytes = arguments.examples * arguments.dim * 2 / 1e9
    print(f"{arguments.examples:,} examples, dim {arguments.dim}, float16 ({gigabytes:.2f} GB), {arguments.subtasks} subtasks")
    for name, times in seconds.items():
        best = min(times)
        print(f"{name:6} {best:7.2f} s {gigabytes / best:6.2f} GB/s {best / min(seconds['floor']):6.2f} x floor (best of {len(times)})")
    command = [sys.executable, *sys.argv, "--folder", str(folder)]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    print(f"peak memory of scoring: {float(peak):.2f} GiB")


def multiply(folder: Path, vectors: torch.Tensor) -> torch.Tensor:
    dim = vectors.shape[1]
    scores = []
    for path in sorted(folder.glob("*.raw")):
        with path.open("rb") as file:
            while (piece := np.fromfile(file, dtype="<f2", count=ROW_GROUP * dim)).size:
                scores.append(torch.from_numpy(piece).view(-1, dim).float() @ vectors.T)
    return torch.cat(scores)


def score(folder: Path, vectors: torch.Tensor) -> torch.Tensor:
    scores = []
    for path in sorted(folder.glob("*.parquet")):
        ids = pq.read_table(path, columns=["example_id"])["example_id"].combine_chunks()
        scores.append(score_shard(ids, [[str(path)]], [vectors], [1.0]).scores)
    return torch.cat(scores)


if __name__ == "__main__":
    main()
