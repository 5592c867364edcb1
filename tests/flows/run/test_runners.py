"""Clusters that a run starts on its own machine, and what is asked of any cluster."""

import importlib
import pickle
import shutil
import signal
import socket
import sqlite3
import subprocess
from typing import Any

import cloudpickle
import psutil
import pytest
from command_line import command, environment, write_config
from counts import in_full
from midst import left, shards
from samples import assert_same_files
from service import wait_for

import less_core.preflight.checks
from flows.run.runners import cluster
from less_core.errors import ConfigError
from less_core.preflight.checks import check_settings
from less_core.preflight.model import find_device
from less_core.settings.select import ExecutionSettings, ModelSettings, SelectSettings
from tasks.encode import encode_shard
from tasks.features import extract_features
from tasks.runtime import RUNTIME
from tasks.warmup import warm_up
from tasks.work import WORK

RUNNERS = ("ray", "dask")
IN_FULL = in_full("the other runner")


def model(settings: SelectSettings, path: str) -> ModelSettings:
    return settings.model.model_copy(update={"path": path})


@pytest.mark.slow
@pytest.mark.parametrize("runner", [pytest.param("ray", marks=[pytest.mark.ray, IN_FULL]), "dask"])
def test_run_alone_starts_workers_that_know_its_folders_and_its_server(
    make_settings, run_stages, tiny_model, tmp_path, runner: str
) -> None:
    """Without a server, in a folder that all paths are relative to."""
    shutil.copytree(tiny_model, tmp_path / "model")
    settings = make_settings()
    there = {"store": "store", "runs": "runs", "data_dir": ".", "model": model(settings, "model")}
    execution = settings.execution.model_copy(update={"runner": runner, "workers": 1})
    config = write_config(settings.model_copy(update=there | {"execution": execution}), tmp_path / "select.yaml")
    alone = environment("") | {"PREFECT_HOME": str(tmp_path / "home")}
    run = subprocess.run(command("run", str(config)), cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    peace = make_settings(store=str(tmp_path / "peace"), runs=str(tmp_path / "peaceful"), model=model(settings, str(tmp_path / "model")))
    run_stages(peace)
    assert_same_files(left(settings), left(peace))
    with sqlite3.connect(tmp_path / "home/prefect.db") as database:
        shown = dict(database.execute("select name, state_type from task_run").fetchall())
    assert {shown[f"pool features ckpt {c}/2 · shard {s}/4"] for c in (1, 2) for s in (1, 2, 3, 4)} == {"COMPLETED"}


@pytest.mark.parametrize("task", [encode_shard, warm_up, extract_features])
def test_tasks_cross_to_other_processes_and_meet_the_runtime_that_is_there(task: Any) -> None:
    assert pickle.loads(cloudpickle.dumps(task)).name == task.name
    assert pickle.loads(cloudpickle.dumps(RUNTIME)) is RUNTIME
    assert pickle.loads(cloudpickle.dumps(WORK)) is WORK


@pytest.mark.parametrize("runner", RUNNERS)
def test_runner_whose_extra_is_missing_is_an_error_that_names_it(make_settings, monkeypatch, runner: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(less_core.preflight.checks, "find_spec", lambda name: None if name.startswith("prefect_") else find(name))
    with pytest.raises(ConfigError, match=rf'execution.runner: expected the package prefect-{runner}, .*less-flow\[{runner}\]"'):
        check_settings(make_settings(execution={"runner": runner}))


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("form", ["{}", "tcp://{}", "nonsense"])
def test_cluster_that_does_not_answer_is_an_error_that_names_it(prefect_server, runner: str, form: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = form.format(f"127.0.0.1:{free.getsockname()[1]}")
        execution = ExecutionSettings(runner=runner, cluster=address)
        with pytest.raises(ConfigError, match=f"execution.cluster: expected a {runner} cluster at {address}"), cluster(execution, "cpu"):
            pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runner", "how"), [pytest.param("ray", signal.SIGTERM, marks=[pytest.mark.ray, IN_FULL]), ("dask", signal.SIGKILL)]
)
def test_run_that_is_ended_leaves_no_worker(make_settings, prefect_server, tmp_path, runner: str, how: signal.Signals) -> None:
    settings = make_settings(execution={"runner": runner, "device": "cpu", "shard_size": 1, "workers": 1})
    run = subprocess.Popen(command("run", str(write_config(settings, tmp_path / "select.yaml"))), env=environment(prefect_server))
    wait_for(lambda: len(shards(settings)) >= 5 or run.poll() is not None)
    assert run.poll() is None
    family = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(how)
    assert run.wait() != 0
    assert family
    wait_for(lambda: not any(process.is_running() for process in family))


def test_head_without_a_gpu_takes_that_of_its_workers_and_no_other_run_does(make_settings, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    far = {"runner": "ray", "cluster": "auto", "device": "cuda"}
    assert find_device(make_settings(execution=far)).type == "cuda"
    for execution in ({"device": "cuda"}, {"runner": "ray", "device": "cuda"}):
        with pytest.raises(ConfigError, match=r"execution\.device"):
            find_device(make_settings(execution=execution))
