"""Many selections triggered at once, against one server and one worker: how long each waits and runs, and what the server holds.

    python benchmarks/load.py [--runs 20] [--at-once 2] [--examples 200]

`less-flow serve` runs in a folder of its own, with the queue's limit set to `--at-once`. Every selection has its own pool and all share
one store, on a tiny model: the load is that of the orchestration. Waiting is from the trigger to the start; memory is the resident set
of the server's processes, read twice a second.
"""

import argparse
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from growth import make_model, write_rows

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/served")]
from service import Service, deployment, serving  # noqa: E402

PATIENCE = 3600  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--examples", type=int, default=200, help="of each pool")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        write_rows(folder / "target.jsonl", 8, 1)
        configs = [make_config(folder, number, arguments.examples) for number in range(arguments.runs)]
        with serving(folder / "service", [deployment("select", {"config": {}})]) as service:
            service.limit("device", arguments.at_once)
            with Memory(service) as memory:
                runs = service.start_at_once("select", [{"config": config} for config in configs])
                ends = [service.ended(run, PATIENCE) for run in runs]
            print_runs([service.run(run) for run in runs])
            known = len(service.runs("select"))
    print(f"\n{arguments.runs} triggered, {known} known to the server, {ends.count('COMPLETED')} completed; {memory}")


def make_config(folder: Path, number: int, examples: int) -> dict[str, Any]:
    write_rows(folder / f"pool-{number}.jsonl", examples, number + 2)
    return {
        "name": f"load-{number}",
        "model": {"path": str(folder / "model"), "lora": {"rank": 4, "alpha": 16}},
        "data_dir": str(folder),
        "pools": [{"name": "pool", "path": f"pool-{number}.jsonl"}],
        "targets": [{"name": "target", "path": "target.jsonl"}],
        "store": str(folder / "store"),
        "runs": str(folder / "runs"),
        "warmup": {"fraction": 0.2, "epochs": 2, "batch_size": 16, "micro_batch_size": 16, "learning_rate": 1e-3},
        "features": {"projection": {"dim": 1024}, "max_length": 128},
        "execution": {"shard_size": 20},
    }


def print_runs(runs: list[dict[str, Any]]) -> None:
    print("| run | waited s | ran s | ended |\n| --- | --- | --- | --- |")
    for number, run in enumerate(sorted(runs, key=lambda run: run["start_time"]), 1):
        triggered, started, ended = (datetime.fromisoformat(run[f"{what}"]) for what in ("created", "start_time", "end_time"))
        waited, ran = ((b - a).total_seconds() for a, b in ((triggered, started), (started, ended)))
        print(f"| {number} | {waited:.0f} | {ran:.0f} | {run['state']['type'].lower()} |")


class Memory:
    """The server's memory while the block runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ended = threading.Event()
        self._seen: list[int] = [self._now()]
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def __str__(self) -> str:
        first, most, last = (value / 2**20 for value in (self._seen[0], max(self._seen), self._seen[-1]))
        return f"the server's memory: {first:.0f} MiB before, {most:.0f} MiB at most, {last:.0f} MiB after"

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self._seen.append(self._now())

    def _now(self) -> int:
        return sum(process.memory_info().rss for process in self._service.processes("server start"))


if __name__ == "__main__":
    main()
