"""Where the heavy tasks of a run are computed: in this process, or by the workers of a Ray or Dask cluster.

What crosses to a worker is a task and refs. It keeps its model between tasks, reads and writes the store itself, and reports to the
Prefect server of the run.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

import torch
from prefect import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner

from less_core.errors import ConfigError
from less_core.settings.select import ExecutionSettings

HERE = 32  # tasks submitted and not yet done, of one process
FAR = 256  # of a cluster: enough for 128 workers, and for one that grows with what waits
ON_CPU = 2  # workers of a cluster that is started here
PATIENCE = 10  # seconds for a cluster's machine to answer


@contextmanager
def cluster(execution: ExecutionSettings, device: str) -> Iterator[TaskRunner[Any] | None]:
    """Join a cluster, or start one here, for the block; yield what runs tasks on it, None for tasks in this process.

    At the end of the block, and of this process however it ends, a cluster that was started here is gone, and another one drops what is
    left of the run's tasks: Ray at once, Dask once a worker is through with the one that it is at.

    Args:
        execution: Names runner and cluster.
        device: Of the heavy tasks, "cpu" or "cuda".

    Raises:
        ConfigError: The cluster does not answer.
    """
    with ExitStack() as stack:
        if execution.remote and not PREFECT_API_URL.value():
            # A server of this process alone. Workers are told of it, or each would start its own.
            with get_client(sync_client=True) as client:
                stack.enter_context(temporary_settings({PREFECT_API_URL: str(client.api_url)}))
        if execution.cluster not in ("", "auto"):
            _check_answers(execution)
        yield stack.enter_context(_JOIN[execution.runner](execution, device))


def asking_for(execution: ExecutionSettings, device: str) -> AbstractContextManager[Any]:
    """Return a context whose submitted tasks ask the cluster for what they need: a GPU each, or a CPU."""
    on_gpu = device == "cuda"
    if execution.runner == "ray":
        from prefect_ray.context import remote_options

        # Ray ends a worker after each task that had a GPU, and its model with it, unless it is told not to.
        return remote_options(num_cpus=1, num_gpus=int(on_gpu), max_calls=0)
    if execution.runner == "dask" and on_gpu:
        import dask

        return dask.annotate(resources={"GPU": 1})
    return nullcontext()


@contextmanager
def _local(execution: ExecutionSettings, device: str) -> Iterator[None]:
    yield None


@contextmanager
def _ray(execution: ExecutionSettings, device: str) -> Iterator[TaskRunner[Any]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported: nothing is sent home
    import ray
    from prefect_ray import RayTaskRunner

    options: dict[str, Any] = {}
    if not execution.cluster:
        count = _count(execution, device)
        options = {"num_cpus": count, "num_gpus": count if device == "cuda" else 0, "include_dashboard": False}
        options["runtime_env"] = {"env_vars": _threads(execution, device)}
    on_stop = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(execution.cluster or "local", log_to_driver=False, logging_level=logging.WARNING, **options)
    except ConnectionError as error:
        raise _no_answer(execution, error) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_stop)  # Prefect's, by which a run is cancelled; Ray had put its own there
    try:
        yield RayTaskRunner()  # takes the connection that is there
    finally:
        ray.shutdown()


@contextmanager
def _dask(execution: ExecutionSettings, device: str) -> Iterator[TaskRunner[Any]]:
    from distributed import Nanny, Scheduler, SpecCluster
    from prefect_dask import DaskTaskRunner

    if execution.cluster:
        yield DaskTaskRunner(address=execution.cluster)
        return
    gpus = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    workers = {}
    for number in range(_count(execution, device)):
        options: dict[str, Any] = {"nthreads": 1, "memory_limit": None, "silence_logs": logging.WARNING, "env": _threads(execution, device)}
        if device == "cuda":
            options["resources"] = {"GPU": 1}
            options["env"]["CUDA_VISIBLE_DEVICES"] = gpus[number]
        workers[number] = {"cls": Nanny, "options": options}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    with SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.WARNING) as started:
        yield DaskTaskRunner(address=started.scheduler_address)


_JOIN = {"local": _local, "ray": _ray, "dask": _dask}


def _count(execution: ExecutionSettings, device: str) -> int:
    """Return how many workers to start here."""
    if device != "cuda":
        return execution.workers or ON_CPU
    gpus = torch.cuda.device_count()
    if execution.workers > gpus:
        raise ConfigError("execution.workers", f"at most {gpus}, one a GPU", str(execution.workers), "Leave it at 0 for one a GPU.")
    return execution.workers or gpus


def _threads(execution: ExecutionSettings, device: str) -> dict[str, str]:
    """Return the environment that divides the processor between workers; what is set for all of them stays."""
    share = max(1, (os.cpu_count() or 1) // _count(execution, device))
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(share))}


def _check_answers(execution: ExecutionSettings) -> None:
    """Raise an error where nothing listens at the cluster's address; Ray itself would try for minutes, and then end the process."""
    address = execution.cluster
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        raise _no_answer(execution, error) from error


def _no_answer(execution: ExecutionSettings, error: Exception) -> ConfigError:
    got = f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
    do = "Start it, correct the address, or leave `cluster` empty for one on this machine."
    return ConfigError("execution.cluster", f"a {execution.runner} cluster at {execution.cluster}", got, do)
