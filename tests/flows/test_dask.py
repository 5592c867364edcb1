"""Selections on two Dask workers: what they leave is what this process alone leaves, also where a worker dies."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from midst import at_shard, left, shards
from samples import assert_same_files

from flows.select_data import select_data
from less_core.settings.select import SelectSettings

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

EXECUTION = {"device": "cpu", "shard_size": 4}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as found:
        yield found


@pytest.fixture(scope="module")
def made_alone() -> dict[str, dict[str, bytes]]:
    """What the same selection leaves that this process makes, for all tests: nothing in it depends on where it was made."""
    return {}


@pytest.fixture
def alone(make_settings, made_alone, tmp_path) -> dict[str, bytes]:
    if not made_alone:
        settings = make_settings(influence={"scoring": "rerank"}, execution=EXECUTION, store=str(tmp_path / "alone"), name="alone")
        assert select_data(settings, return_state=True).is_completed()
        made_alone["alone"] = left(settings)
    return made_alone["alone"]


@pytest.fixture
def settings(make_settings, cluster) -> SelectSettings:
    there = {"runner": "dask", "cluster": cluster.scheduler_address}
    return make_settings(influence={"scoring": "rerank"}, execution=EXECUTION | there, name="remote")


def test_two_workers_leave_what_this_process_leaves(settings, alone) -> None:
    assert select_data(settings, return_state=True).is_completed()
    assert_same_files(left(settings), alone)


def test_worker_that_dies_costs_its_unfinished_shards_and_nothing_else(settings, alone, cluster) -> None:
    victim = cluster.workers[1]
    at_work = lambda: cluster.scheduler.workers[victim.worker_address].processing  # noqa: E731
    with at_shard(settings, 12, at_work, lambda: os.kill(victim.pid, signal.SIGKILL)) as kept:
        assert select_data(settings, return_state=True).is_completed()
    after = shards(settings)
    assert 12 <= len(kept) < len(after)
    assert {name: after[name] for name in kept} == kept  # bytes, times and inodes: nothing of it was computed again
    assert_same_files(left(settings), alone)
