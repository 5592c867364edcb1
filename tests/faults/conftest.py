"""A selection small enough to be broken fifty times, and what it comes to when nobody breaks it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import Outcome, finish, outcome
from samples import conversation, write_jsonl

from less_core.settings.select import SelectSettings

POOL = 40  # examples, in shards of 8


@pytest.fixture(scope="session")
def api(prefect_server: str) -> Iterator[str]:
    """The address of a server, in the environment of all processes that are started from now on."""
    os.environ["PREFECT_API_URL"] = prefect_server
    os.environ["TQDM_DISABLE"] = "1"
    yield prefect_server
    del os.environ["PREFECT_API_URL"]


@pytest.fixture
def make_case(make_settings: Callable[..., SelectSettings], tmp_path: Path, api: str) -> Callable[..., SelectSettings]:
    """Settings of a selection with exact influence and features, in a folder of its own by name."""
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in range(POOL)])

    def make(name: str, **sections: Any) -> SelectSettings:
        folder = tmp_path / name
        given: dict[str, Any] = {
            "name": "broken",
            "pools": [{"name": "a", "path": "a.jsonl"}],
            "execution": {"shard_size": 8, "device": "cpu"},
            "influence": {"scoring": "exact"},
            "store": str(folder / "store"),
            "runs": str(folder / "runs"),
        }
        return make_settings(**given | sections)

    return make


@pytest.fixture(scope="session")
def kept() -> dict[str, Any]:
    """What tests share: the outcome of the undisturbed selection, and how long it took."""
    return {}


@pytest.fixture
def undisturbed(make_case: Callable[..., SelectSettings], kept: dict[str, Any]) -> Outcome:
    """What the selection comes to in peace."""
    if not kept:
        settings = make_case("peace")
        finish(settings)  # loads what a process loads once
        again = make_case("peace again")
        started = time.monotonic()
        finish(again)
        kept["seconds"] = time.monotonic() - started
        kept["outcome"] = outcome(again)
        kept["folder"] = Path(again.store).parent
        assert outcome(settings) == kept["outcome"]
    return kept["outcome"]


@pytest.fixture
def finished(make_case: Callable[..., SelectSettings], undisturbed: Outcome, kept: dict[str, Any]) -> SelectSettings:
    """The selection as it was finished in peace, in a copy of its own."""
    settings = make_case("finished")
    shutil.copytree(kept["folder"], Path(settings.store).parent, symlinks=True)
    return settings


@pytest.fixture
def seconds(undisturbed: Outcome, kept: dict[str, Any]) -> float:
    """How long an undisturbed run takes here."""
    return kept["seconds"]
