"""Selections on two Ray nodes: what they leave is what this process alone leaves, also where a node dies."""

import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from counts import in_full
from midst import at_shard, left, shards
from samples import assert_same_files

from flows.select_data import select_data
from less_core.settings.select import SelectSettings

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("prefect_server")]

EXECUTION = {"device": "cpu", "shard_size": 4}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that computes nothing."""
    head = NODE | {"num_cpus": 0, "include_dashboard": False}
    found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    yield found
    found.shutdown()


@pytest.fixture
def nodes(cluster: Any) -> Iterator[list[Any]]:
    found = [cluster.add_node(**NODE) for _ in range(2)]
    yield found
    for node in found:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)


def at_work(node: Any) -> list[psutil.Process]:
    """The node's processes that are at a task: Ray writes it into their titles."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    titles = {process: " ".join(process.cmdline()) for process in raylet.children()}
    return [process for process, title in titles.items() if title.startswith("ray::") and "IDLE" not in title]


@pytest.fixture(scope="module")
def made_alone() -> dict[str, dict[str, bytes]]:
    """What the same selection leaves that this process makes, for all tests: nothing in it depends on where it was made."""
    return {}


@pytest.fixture
def alone(make_settings, made_alone, tmp_path) -> dict[str, bytes]:
    if not made_alone:
        settings = make_settings(influence={"scoring": "exact"}, execution=EXECUTION, store=str(tmp_path / "alone"), name="alone")
        assert select_data(settings, return_state=True).is_completed()
        made_alone["alone"] = left(settings)
    return made_alone["alone"]


@pytest.fixture
def settings(make_settings, cluster, nodes) -> SelectSettings:
    there = {"runner": "ray", "cluster": cluster.address}
    return make_settings(influence={"scoring": "exact"}, execution=EXECUTION | there, name="remote")


def test_two_nodes_leave_what_this_process_leaves(settings, alone) -> None:
    assert select_data(settings, return_state=True).is_completed()
    assert_same_files(left(settings), alone)


@in_full("a Dask worker that dies")
def test_node_that_dies_costs_its_unfinished_shards_and_nothing_else(settings, alone, cluster, nodes) -> None:
    victim = nodes[1]
    with at_shard(settings, 12, lambda: at_work(victim), lambda: cluster.remove_node(victim, allow_graceful=False)) as kept:
        assert select_data(settings, return_state=True).is_completed()
    after = shards(settings)
    assert 12 <= len(kept) < len(after)
    assert {name: after[name] for name in kept} == kept  # bytes, times and inodes: nothing of it was computed again
    assert_same_files(left(settings), alone)
