"""What orchestration itself costs: shards of trivial work as tasks of a stage, against a plain loop over the same work.

    python benchmarks/orchestration.py [--shards 200] [--rounds 3] [--memory-shards 1000] [--runners dask ray]

plain   the work in a Python loop
flow    the same work as feature tasks of a stage: submitted through a window, run one at a time in a thread, reported to a Prefect
        server in a process of its own, on SQLite, as `less-flow run` has one

dask, ray
        the same flow with `execution.runner` of that name: a cluster of two workers, started here, each a process

Rounds alternate; a flow of a few shards goes first, so that imports, workers and the first connection are not counted. Memory is the
resident set of the flow's process, read while the flow goes on; the server's is not in it.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

# Read by Prefect when it is imported. A server that is stopped complains of the last events, which nobody waits for.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")

import numpy as np
from prefect import flow
from prefect.task_runners import TaskRunner
from prefect.testing.utilities import prefect_test_harness

from flows.run.progress import Stage
from flows.run.runners import asking_for, cluster
from flows.stages import ONE, in_flight, windowed
from less_core.refs import FEATURES, CheckpointRef, ExamplesRef, FeatureShardRef, FeatureWork, Holding, ModelRef
from less_core.settings.file import parse_settings
from less_core.settings.select import ExecutionSettings, LoraSettings, SelectSettings
from tasks.stage_task import stage_task
from tasks.work import WORK

WARM = 20  # shards of the flow that goes first
WORKERS = 2  # of a cluster
EVERY = 100  # shards between two readings of the memory
TYPICAL = 30.0  # seconds, of a real shard; the settings ask for 1 to 10 minutes
EXAMPLES = 1024  # a shard

SETTINGS = parse_settings(
    {
        "name": "orchestration",
        "model": {"path": "model"},
        "pools": [{"name": "pool", "path": "pool.jsonl"}],
        "targets": [{"name": "target", "path": "target.jsonl"}],
    },
    where="this benchmark",
)
MODEL = ModelRef(
    folder="model",
    fingerprint="0" * 64,
    encoding="1" * 64,
    template="tulu",
    max_length=2048,
    device="cpu",
    dtype="float32",
    lora=LoraSettings(),
)
CHECKPOINT = CheckpointRef(
    name="checkpoint-10",
    number=1,
    of=1,
    folder="checkpoint-10",
    fingerprint="2" * 64,
    step=10,
    learning_rate=2e-5,
    weight=1,
    epsilon_share=0,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-shards", type=int, default=1000)
    parser.add_argument("--runners", nargs="*", choices=["dask", "ray"], default=[])
    arguments = parser.parse_args()
    with prefect_test_harness(server_startup_timeout=120):
        report_time(arguments.shards, arguments.rounds, arguments.runners)
        report_memory(arguments.memory_shards)


def report_time(shards: int, rounds: int, runners: list[str]) -> None:
    with ExitStack() as stack:
        runs = {"plain": plainly, "flow": as_flow}
        for name in runners:
            execution = ExecutionSettings(runner=name, workers=WORKERS)
            runs[name] = partial(as_flow, execution=execution, runner=stack.enter_context(cluster(execution, "cpu")))
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run(WARM)
        for _ in range(rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                assert len(run(shards)) == shards
                seconds[name].append((time.perf_counter() - started) / shards)
    print(f"{shards} shards of trivial work")
    for name, times in seconds.items():
        print(f"{name:9}{min(times):9.5f} s a shard (best of {len(times)})")
    for name in [*seconds][1:]:
        overhead = min(seconds[name]) - min(seconds["plain"])
        print(f"overhead of {name:5}{overhead:9.5f} s a shard, {overhead / TYPICAL:.2%} of a shard of {TYPICAL:.0f} s")


def report_memory(shards: int) -> None:
    readings: list[tuple[int, float]] = []

    def read(done: int) -> None:
        if done % EVERY == 0:
            readings.append((done, resident()))

    as_flow(shards, read)
    print(f"resident memory of the flow's process in a flow of {shards} shards")
    for count, size in readings:
        print(f"after {count:6} shards {size:9.1f} MB")
    if len(readings) > 1:
        done, megabytes = np.array(readings).T
        print(f"growth {np.polyfit(done, megabytes, 1)[0] * 1000:.1f} KB a shard (line through the readings)")


def plainly(shards: int) -> list[FeatureShardRef]:
    examples = index_of(shards)
    return [compute.fn(SETTINGS, MODEL, examples, work) for work in work_of(shards)]


def as_flow(
    shards: int,
    read: Callable[[int], None] = lambda done: None,
    execution: ExecutionSettings = SETTINGS.execution,
    runner: TaskRunner[Any] = ONE,
) -> list[FeatureShardRef]:
    settings = SETTINGS.model_copy(update={"execution": execution})

    @flow(name="features", task_runner=runner, persist_result=False)
    def features(config: SelectSettings, model: ModelRef, examples: ExamplesRef) -> list[FeatureShardRef]:
        done: list[FeatureShardRef] = []
        with Stage("pool features", "examples") as stage, asking_for(config.execution, model.device):
            stage.expect(shards * EXAMPLES)
            for ref in windowed(partial(compute.submit, config, model, examples), work_of(shards), in_flight(config)):
                if config.execution.remote:
                    stage.advance(ref.computed, ref.tokens)
                done.append(ref)
                read(len(done))
            stage.done(shards * EXAMPLES, shards * EXAMPLES)
        return done

    return features(settings, MODEL, index_of(shards))


@stage_task("{work.side} features ckpt {work.checkpoint.number}/{work.checkpoint.of} · shard {work.shard}/{work.of}")
def compute(settings: SelectSettings, model: ModelRef, examples: ExamplesRef, work: FeatureWork) -> FeatureShardRef:
    name = hashlib.sha256(f"{settings.name} {model.folder} {examples.path} {work.shard}".encode()).hexdigest()
    WORK.advance(work.missing)
    return FeatureShardRef(
        checkpoint=work.checkpoint.fingerprint,
        shard=work.shard,
        files={FEATURES: [f"{work.holdings[0].folder}/{name}.parquet"]},
        computed=work.missing,
        reused=0,
        flagged=0,
        tokens=0,
        seconds=0,
        bytes_written=0,
    )


def index_of(shards: int) -> ExamplesRef:
    return ExamplesRef(side="pool", path="index/pool.parquet", encoding=MODEL.encoding, shards=shards, examples=shards * EXAMPLES)


def work_of(shards: int) -> list[FeatureWork]:
    kind = Holding(part=FEATURES, folder=f"store/features/{'3' * 64}", fingerprint="3" * 64, files=[], missing=EXAMPLES)
    common = {"side": "pool", "checkpoint": CHECKPOINT, "of": shards, "group": 0, "holdings": [kind]}
    return [FeatureWork(shard=number, examples=EXAMPLES, **common) for number in range(1, shards + 1)]


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
