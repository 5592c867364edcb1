"""Many runs triggered at once: each ends right, none is lost, and no more are at work than were allowed."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from counts import FULL, Count
from samples import conversation, write_jsonl
from service import Service

from flows.server.setup import QUEUE, RUNS_AT_ONCE
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of

pytestmark = pytest.mark.slow

RUNS, AT_ONCE = (20, 2) if FULL else (2, 1)
PATIENCE = 900  # seconds for all of them


def test_runs_triggered_at_once_all_end_right_and_no_more_are_at_work_than_the_queue_allows(
    service: Service, make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any], count: Count, tmp_path: Path
) -> None:
    """They share a store; each has a pool of its own beside the one that is common to all."""
    settings = []
    for number in range(RUNS):
        write_jsonl(tmp_path / f"own-{number}.jsonl", [conversation(1000 * (number + 2) + i) for i in range(20)])
        pools = [{"name": "a", "path": "a.jsonl"}, {"name": "own", "path": f"own-{number}.jsonl"}]
        settings.append(make_settings(name=f"load-{number}", pools=pools, warmup={"kind": "random"}))
    before = {run["id"] for run in service.runs("select")}
    service.limit(QUEUE, AT_ONCE)
    runs = service.start_at_once("select", [{"config": s.model_dump(mode="json")} for s in settings])
    assert [service.ended(run, PATIENCE) for run in runs] == ["COMPLETED"] * RUNS
    assert {run["id"] for run in service.runs("select")} - before == set(runs)
    assert at_once([service.run(run) for run in runs]) <= AT_ONCE
    service.limit(QUEUE, RUNS_AT_ONCE)
    for s in settings:
        peace = run_stages(s.model_copy(update={"store": str(tmp_path / "peace" / s.name), "runs": str(tmp_path / "in peace")}))
        assert Path(run_of(s).published.selected("t")).read_bytes().splitlines() == peace.selected()
    count(runs=RUNS, runs_compared=RUNS)


def at_once(runs: list[dict[str, Any]]) -> int:
    """Return how many were at work at the same time, at most."""
    times = ((datetime.fromisoformat(run[f"{at}_time"]), by) for run in runs for at, by in (("start", 1), ("end", -1)))
    most = now = 0
    for _, by in sorted(times):
        now += by
        most = max(most, now)
    return most
