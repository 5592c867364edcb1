"""The project's own flows and tasks without Prefect's engine: each is called as the function that it is, and what it returns is kept.

A run in the engine takes seconds, most of them to tell the server; what is computed is the same.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, Task
from prefect.states import State

from flows import stages
from flows.select_data import ALWAYS, make_version
from less_core.changes.records import ChangeSummary
from less_core.features.requirements import needs_warmup
from less_core.files.whole import write_json
from less_core.refs import CheckpointsRef, FeatureShardRef, InfluenceRef, ModelRef, SelectionRef
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.formats.scores import iterate_scores
from less_core.storage.layout import Version
from tasks.warmup import without_warmup


@dataclass
class Calls:
    """What flows and tasks returned, by the name of their function, in order; with the arguments of each."""

    returned: dict[str, list[tuple[dict[str, Any], Any]]] = field(default_factory=dict)

    def call(self, made: Any, *arguments: Any, **options: Any) -> Any:
        value = made.fn(*arguments, **options)
        value = value.data if isinstance(value, State) else value
        given = inspect.signature(made.fn).bind(*arguments, **options)
        given.apply_defaults()
        self.returned.setdefault(made.fn.__name__, []).append((given.arguments, value))
        return value

    def last(self, function: str) -> Any:
        """What a flow or a task returned the last time; None where it was not called."""
        return self.returned[function][-1][1] if function in self.returned else None


@dataclass(frozen=True)
class Ended:
    """In place of a future: the task has run."""

    value: Any

    def result(self) -> Any:
        return self.value


@contextmanager
def without_engine() -> Iterator[Calls]:
    """Call flows and tasks as functions within the block, and tell no server of them."""
    calls = Calls()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flow, "__call__", lambda made, *a, **o: calls.call(made, *a, **o))
        patch.setattr(Flow, "with_options", lambda made, **options: made)
        patch.setattr(Task, "__call__", lambda made, *a, **o: calls.call(made, *a, **o))
        patch.setattr(Task, "submit", lambda made, *a, **o: Ended(calls.call(made, *a, **o)))
        for module in ("flows.run.progress", "flows.stages"):
            patch.setattr(f"{module}.attempt", lambda what, tell: None)
        patch.setattr("flows.events.emit_event", lambda *arguments, **options: None)
        yield calls


@dataclass(frozen=True)
class Result:
    """What a run left, and what its stages returned."""

    settings: SelectSettings
    version: Version
    model: ModelRef
    checkpoints: CheckpointsRef
    pool_shards: list[FeatureShardRef]
    influence: InfluenceRef
    selections: list[SelectionRef]
    changes: ChangeSummary | None

    def scores(self, target: str = "t") -> dict[str, float]:
        tables = iterate_scores(self.version.scores(target))
        return {row["example_id"]: row["score"] for table in tables for row in table.to_pylist()}

    def selected(self, target: str = "t") -> list[bytes]:
        return Path(self.version.selected(target)).read_bytes().splitlines()


def run_plainly(settings: SelectSettings, rewarm: RewarmSettings = ALWAYS) -> Result:
    """Run all stages of `select_data`, but for the drawing of the report, which takes longer than all else here."""
    with without_engine() as calls, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "write_report", lambda version, summary: write_json(version.record, {"version": version.name}))
        inputs, version, cost = stages.look(settings)
        make_version(settings, version, inputs, rewarm, cost)
    shards = [
        shard
        for given, shard in calls.returned.get("extract_features", [])
        if given["examples"].side == "pool" and not (given["exact"] and given["exact"].shortlist) and not shard.elsewhere
    ]
    checkpoints = calls.last("warmup")[0] if needs_warmup(settings) else without_warmup(settings, inputs.model)
    return Result(
        settings,
        version,
        inputs.model,
        checkpoints,
        shards,
        calls.last("influence")[0],
        calls.last("select_examples"),
        calls.last("compare_with_last"),
    )
