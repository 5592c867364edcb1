"""SIGKILL, whenever: what was finished stays as it is, a new run ends like one that nobody disturbed, and nothing is left lying about."""

import random
import time
from collections.abc import Callable

import pytest
from breaking import DONE, KilledAtWrite, Outcome, assert_goes_on, leftovers, outcome, start
from counts import FULL, Count

from less_core.settings.select import SelectSettings
from less_core.storage.layout import store_of
from less_core.storage.upkeep.garbage import delete, find_garbage

pytestmark = pytest.mark.slow

SEEDS = range(50 if FULL else 1)
WRITES = [(number, after) for number in range(1, 70, 8) for after in (False, True)] if FULL else [(50, True)]
MONTH = 30 * 86400.0


@pytest.mark.parametrize("seed", SEEDS)
def test_run_killed_at_random_moments_goes_on(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, seconds: float, count: Count, seed: int
) -> None:
    settings = make_case(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(2):  # the second run may be killed while it goes on where the first was
        run = start(settings)
        time.sleep(moments.uniform(0, seconds))  # the moment of the kill; nothing is waited for
        run.process.kill()
        count(kills=run.ended() != DONE, too_late=run.ended() == DONE)
    count(kept=assert_goes_on(settings, undisturbed), runs_compared=1)
    assert_nothing_is_left(settings, count)


@pytest.mark.parametrize(("number", "after"), WRITES)
def test_run_killed_as_a_file_takes_its_name_goes_on(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, number: int, after: bool
) -> None:
    settings = make_case(f"write {number} {after}")
    run = start(settings, KilledAtWrite(number, after))
    if run.ended() == DONE:
        pytest.skip(f"a run writes fewer than {number} files")
    count(kills=1)
    count(kept=assert_goes_on(settings, undisturbed), runs_compared=1)
    assert_nothing_is_left(settings, count)


def test_two_runs_of_which_one_is_killed_share_a_store(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, seconds: float, count: Count
) -> None:
    settings = make_case("shared")
    other = settings.model_copy(update={"runs": f"{settings.runs} of another"})
    one, two = start(settings), start(other)
    time.sleep(seconds / 2)
    one.process.kill()
    one.ended()
    assert two.ended() == DONE, two.said()
    assert outcome(other).selected == undisturbed.selected
    count(kills=1, kept=assert_goes_on(settings, undisturbed), runs_compared=2)


def assert_nothing_is_left(settings: SelectSettings, count: Count) -> None:
    """Collect garbage a month later: no temporary file is left, and nothing that the selection needs is gone."""
    before = outcome(settings)
    found = find_garbage(store_of(settings), [settings.runs], older_than=7, now=time.time() + MONTH)
    assert {garbage.kind for garbage in found} <= {"temporary files", "locks", "unfinished versions"}
    count(temporary_files=len(leftovers(settings)))
    delete(found)
    assert leftovers(settings) == []
    assert outcome(settings) == before
