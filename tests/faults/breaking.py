"""Runs of the real command in processes that break in a given way.

They are forked from one that has everything imported, so that fifty take minutes.
"""

import contextlib
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from fsspec.implementations.local import LocalFileSystem
from heartbeats import without_heartbeats

from less_core.settings.select import SelectSettings
from less_core.storage.layout import Store
from less_core.storage.upkeep.verification import verify_store

DONE, WRONG_INPUT = 0, 2  # exit codes of the command
PATIENCE = 300  # seconds for a run of a tiny model to end

Fault = Callable[[], None]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["breaking", "flows.stages", "flows.select_data", "datasets", "transformers"])


@dataclass(frozen=True)
class Broken:
    """A run of the command that was started, its folder, and where it says what it does."""

    process: BaseProcess
    log: Path

    def ended(self) -> int:
        """Wait for its end; return its exit code, below 0 for a signal."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"a run did not end in {PATIENCE} s: {self.said()[-2000:]}")
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def start(settings: SelectSettings, fault: Fault | None = None) -> Broken:
    """Start `less-flow run` of some settings in a process of its own, with a fault that is armed first."""
    config, log = (Path(settings.data_dir) / f"{time.monotonic_ns()}.{ending}" for ending in ("yaml", "log"))  # not on a disk that is full
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    process = _FORKS.Process(target=_run, args=(str(config), str(log), fault))
    process.start()
    return Broken(process, log)


def finish(settings: SelectSettings) -> None:
    """Run the command undisturbed; it must end well."""
    run = start(settings)
    assert run.ended() == DONE, run.said()[-3000:]


def _run(config: str, log: str, fault: Fault | None) -> None:
    # What the process says goes to a file: nobody reads a pipe of a process that is killed.
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from flows.cli.main import main

    if fault:
        fault()
    with without_heartbeats():
        code = main(["run", config])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# --- faults: called in the process, before the command ---


@dataclass(frozen=True)
class KilledAtWrite:
    """SIGKILL when the nth file takes its name: just before that, or just after."""

    number: int
    after: bool

    def __call__(self) -> None:
        move, seen = LocalFileSystem.mv, iter(range(1, sys.maxsize))

        def mv(file_system: Any, *arguments: Any, **options: Any) -> Any:
            last = next(seen) == self.number
            if last and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            moved = move(file_system, *arguments, **options)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return moved

        LocalFileSystem.mv = mv


@dataclass(frozen=True)
class WritesFail:
    """From the nth file on that is opened for writing, every byte that is written is refused; `times` of them, then it passes."""

    number: int
    code: int = errno.ENOSPC
    times: int = sys.maxsize

    def __call__(self) -> None:
        opened, seen, code = LocalFileSystem._open, iter(range(1, sys.maxsize)), self.code
        until = self.number + self.times

        def _open(file_system: Any, path: str, mode: str = "rb", **options: Any) -> Any:
            file = opened(file_system, path, mode=mode, **options)
            if "w" in mode and self.number <= next(seen) < until:
                file.write = lambda data: _refuse(code)
            return file

        LocalFileSystem._open = _open


def _refuse(code: int) -> int:
    raise OSError(code, os.strerror(code))


@dataclass(frozen=True)
class MemoryRunsOut:
    """Every batch of more than so many examples does not fit in memory."""

    examples: int

    def __call__(self) -> None:
        import torch

        from less_core.features.extraction import GradientExtractor

        original = GradientExtractor.compute

        def compute(extractor: Any, input_ids: Any, *arguments: Any) -> Any:
            if len(input_ids) > self.examples:
                raise torch.OutOfMemoryError("injected")
            return original(extractor, input_ids, *arguments)

        GradientExtractor.compute = compute


# --- what a run left ---


@dataclass(frozen=True)
class Outcome:
    """What a selection came to, and the shards of the store, byte for byte."""

    selected: bytes
    scores: list[dict[str, Any]]
    shards: dict[str, bytes]


def outcome(settings: SelectSettings) -> Outcome:
    """Return what a finished run left; nothing in it depends on where and when it ran."""
    run, store = Path(settings.runs) / settings.name, Path(settings.store)
    shards = {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*.parquet"))}
    shards |= {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.glob("warmups/*/checkpoint-*/*.safetensors"))}
    return Outcome((run / "selected" / "t.jsonl").read_bytes(), pq.read_table(run / "scores" / "t.parquet").to_pylist(), shards)


def whole_files(settings: SelectSettings) -> dict[str, tuple[int, bytes]]:
    """Return time and content of all that is finished in the store: what has its name."""
    store = Path(settings.store)
    found = [*store.rglob("*.parquet"), *store.glob("warmups/*/checkpoint-*/*.safetensors")]
    return {str(path.relative_to(store)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def assert_goes_on(settings: SelectSettings, undisturbed: Outcome) -> int:
    """Run again: what was finished is kept as it is, and the result is that of a run which nobody disturbed. Return how much was kept."""
    kept = {path: found for path, found in whole_files(settings).items() if path.startswith(("features", "influence", "examples"))}
    finish(settings)
    now = whole_files(settings)
    assert {path: now.get(path) for path in kept} == kept  # bytes and times: nothing valid was lost or made twice
    assert outcome(settings) == undisturbed
    assert verify_store(Store(settings.store))[1] == []
    return len(kept)


def leftovers(settings: SelectSettings) -> list[Path]:
    """Return temporary files of the store and of the results."""
    return [path for folder in (settings.store, settings.runs) for path in Path(folder).rglob("*.tmp")]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Any:
    """Mount a file system of so many bytes; skip where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
