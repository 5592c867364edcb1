"""Runs that share a store at the same time."""

import json
import subprocess
from pathlib import Path

import pytest
from command_line import command, environment, write_config

from less_core.storage.layout import run_of

RUNS = ("one", "other")
POOL = {"name": "a", "path": "a.jsonl"}


@pytest.mark.slow
def test_two_runs_that_need_the_same_shards_compute_each_once_and_end_the_same(make_settings, run_stages, prefect_server, tmp_path) -> None:
    """In a local store a shard is computed once: a run leaves alone what another holds the lock of, and finds it in the end.

    A remote store has no locks: there the bound is once a run. So it is for runs whose pools differ and whose shards overlap.
    """
    execution = {"shard_size": 4, "device": "cpu"}
    settings = {name: make_settings(name=name, execution=execution, store=str(tmp_path / "shared")) for name in RUNS}
    running = [
        subprocess.Popen(command("run", str(write_config(s, tmp_path / f"{name}.yaml"))), env=environment(prefect_server))
        for name, s in settings.items()
    ]
    assert [process.wait() for process in running] == [0, 0]
    computed = {}
    for name, s in settings.items():
        stages = {stage["name"]: stage for stage in json.loads(Path(run_of(s).published.record).read_text())["stages"]}
        computed[name] = [stages[stage]["computed"] for stage in ("pool features", "target features", "warmup")]
    assert [sum(counts) for counts in zip(*computed.values(), strict=True)] == [50, 5, 2]
    assert not [path for path in (tmp_path / "shared").rglob(".*") if path.is_file()]  # no lock and nothing half-written stays
    peace = run_stages(make_settings(name="peace", execution=execution, store=str(tmp_path / "peace")))
    for s in settings.values():
        assert Path(run_of(s).published.selected("t")).read_bytes().splitlines() == peace.selected()
