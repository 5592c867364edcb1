"""A disk that is full, read-only or failing: one clear error that says where, nothing lost, and a run that goes on once it is mended."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from breaking import DONE, WRONG_INPUT, Outcome, WritesFail, assert_goes_on, leftovers, small_disk, start
from counts import FULL, Count, in_full

from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow

SHARES = [0.05, 0.25, 0.5, 0.75, 0.95] if FULL else [0.5]
REFUSED = [(number, errno.ENOSPC) for number in (range(1, 70, 8) if FULL else [31])]
REFUSED += [(50, errno.EROFS), (20, errno.EDQUOT)] if FULL else []


def on_one_disk(settings: SelectSettings, folder: Path) -> SelectSettings:
    return settings.model_copy(update={"store": f"{folder}/store", "runs": f"{folder}/runs"})


@pytest.mark.parametrize("share", SHARES)
def test_full_disk_is_a_clear_error_and_with_more_room_the_run_goes_on(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, tmp_path: Path, share: float
) -> None:
    needed = sum(map(len, undisturbed.shards.values()))
    settings = on_one_disk(make_case("disk"), tmp_path / "small")
    with small_disk(tmp_path / "small", int(needed * share) + 4096) as remount:
        run = start(settings)
        assert run.ended() == WRONG_INPUT, run.said()[-3000:]
        assert "less-flow: " in run.said()
        assert str(tmp_path / "small") in run.said().rpartition("less-flow: ")[2]
        remount("size=64m")
        count(full_disks=1, kept=assert_goes_on(settings, undisturbed), runs_compared=1)
        assert leftovers(settings) == []


@pytest.mark.parametrize(("number", "code"), REFUSED)
def test_writer_that_is_refused_ends_the_run_with_a_clear_error(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, number: int, code: int
) -> None:
    settings = make_case(f"refused {number} {code}")
    run = start(settings, WritesFail(number, code))
    if run.ended() == DONE:
        pytest.skip(f"a run writes fewer than {number} files")
    assert run.ended() == WRONG_INPUT, run.said()[-3000:]
    error = run.said().rpartition("less-flow: ")[2]
    assert "expected" in error
    assert str(Path(settings.store).parent) in error
    count(failing_writers=1, kept=assert_goes_on(settings, undisturbed), runs_compared=1)
    assert leftovers(settings) == []


@in_full("a fault in a flow that is tried again")
@pytest.mark.parametrize("number", [5, 25, 45])
def test_disk_that_fails_once_is_tried_again_and_the_run_does_not_notice(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, number: int
) -> None:
    settings = make_case(f"once {number}")
    run = start(settings, WritesFail(number, errno.EIO, times=1))
    assert run.ended() == DONE, run.said()[-3000:]
    count(passing_faults=1, kept=assert_goes_on(settings, undisturbed), runs_compared=1)
    assert leftovers(settings) == []


@pytest.mark.parametrize("when", ["from the start", "half-way"] if FULL else ["half-way"])
def test_store_that_is_read_only_is_a_clear_error(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, tmp_path: Path, when: str
) -> None:
    settings = on_one_disk(make_case("read-only"), tmp_path / "small")
    with small_disk(tmp_path / "small", 64 << 20) as remount:
        if when == "half-way":
            other = settings.model_copy(update={"runs": f"{tmp_path}/first"})
            assert start(other, WritesFail(30)).ended() == WRONG_INPUT
        remount("ro")
        run = start(settings.model_copy(update={"runs": f"{tmp_path}/runs"}))
        assert run.ended() == WRONG_INPUT, run.said()[-3000:]
        assert settings.store in run.said().rpartition("less-flow: ")[2]
        remount("rw")
        count(read_only_stores=1, kept=assert_goes_on(settings, undisturbed), runs_compared=1)
