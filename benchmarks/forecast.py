"""Error of the predicted end of a run: the real flow on a real model, whose forecast is recorded every second.

    python benchmarks/forecast.py --model demo/model [--data DATA] [--scoring exact|store|rerank] [--examples 160]

`less-flow demo` leaves the model. DATA is a folder with `train/*.jsonl` and `eval/gsm8k.jsonl`; without it, the demo's data
is used. The store is empty at the start. The table has the predicted and the true remaining seconds at 10%, 25%, 50%, 75%
and 90% of the elapsed run, and the error as a share of the true ones. The run's page shows the same prediction, rounded.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

# Read by Prefect when it is imported.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")

from prefect.testing.utilities import prefect_test_harness

import flows.run.progress as progress
from flows.select_data import select_data
from less_core.demo.data import write_demo_data
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings

AT = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the elapsed run
POOLS = ("gsm8k_train", "flan_cot", "codegen", "roleplay")


class Recorder:
    """Asks the board of the run at work for its forecast, every second."""

    def __init__(self) -> None:
        self.board: progress.Board | None = None
        self.kept: list[tuple[float, float, float, float]] = []  # seconds since the start, and the forecast then
        self._over = threading.Event()

    def __enter__(self) -> "Recorder":
        recorder, make = self, progress.Board.__init__

        def made(board: progress.Board, *arguments: Any, **options: Any) -> None:
            make(board, *arguments, **options)
            recorder.board = board

        progress.Board.__init__ = made  # type: ignore[method-assign]
        self._started = time.monotonic()
        threading.Thread(target=self._record, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.seconds = time.monotonic() - self._started

    def _record(self) -> None:
        while not self._over.wait(1):
            if self.board and (left := self.board.left):
                self.kept.append((time.monotonic() - self._started, *left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scoring", default="exact")
    parser.add_argument("--examples", type=int, default=160)
    parser.add_argument("--shard-size", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=120), Recorder() as recorder:
        select_data(settings(Path(folder), arguments))
    shards = 2 * -(-arguments.examples // arguments.shard_size)
    first = recorder.kept[0]
    print(f"scoring {arguments.scoring}: {recorder.seconds:.0f} s in all, {shards} shards of pool features")
    print(f"first forecast, after {first[0]:.0f} s: {first[1]:.0f} s left, from {first[2]:.0f} to {first[3]:.0f}")
    print(f"it took {recorder.seconds - first[0]:.0f} s")
    print("| of the run | forecast: seconds left | seconds left | error |\n| ---: | ---: | ---: | ---: |")
    for share in AT:
        at, said, *_ = min(recorder.kept, key=lambda kept: abs(kept[0] - share * recorder.seconds))
        left = recorder.seconds - at
        print(f"| {at / recorder.seconds:.0%} | {said:.0f} | {left:.0f} | {said / left - 1:+.0%} |")


def settings(folder: Path, arguments: argparse.Namespace) -> SelectSettings:
    each = arguments.examples // len(POOLS)
    if arguments.data:
        pools = [{"name": name, "path": str(arguments.data.resolve() / f"train/{name}.jsonl"), "sample": each} for name in POOLS]
        target = str(arguments.data.resolve() / "eval/gsm8k.jsonl")
    else:
        write_demo_data(folder / "data", per_skill=-(-arguments.examples // 8))
        pools = [{"name": "skills", "path": str(folder / "data/pool.jsonl"), "sample": arguments.examples}]
        target = str(folder / "data/target.jsonl")
    return parse_settings(
        {
            "name": "forecast",
            "model": {"path": str(arguments.model.resolve()), "template": "tulu", "lora": {"rank": 8, "alpha": 32}},
            "store": str(folder / "store"),
            "runs": str(folder / "runs"),
            "pools": pools,
            "targets": [{"name": "target", "path": target}],
            "warmup": {"fraction": 0.05, "epochs": 2, "batch_size": 8, "micro_batch_size": 2, "learning_rate": 2e-4},
            "features": {"max_length": 512},
            "influence": {"scoring": arguments.scoring},
            "execution": {"shard_size": arguments.shard_size},
        },
        where="this benchmark",
    )


if __name__ == "__main__":
    main()
