"""How much a suite tries, and what it tried: counted and printed at its end, also where workers of xdist run it."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("LESS_FAULTS") == "full"  # `make test-faults`; else the smaller size that CI runs
COUNTED = "counted"
Count = Callable[..., None]  # count(kills=1, kept=12): adds to what the test's file has counted under these names


def in_full(instead: str) -> pytest.MarkDecorator:
    """Leave a test to `make test-faults`, as `make test` has something like it."""
    return pytest.mark.skipif(not FULL, reason=f"`make test` has {instead}; `make test-faults` has all")


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Count what is tried; sums over all tests of a file are printed at the end."""

    def add(**counts: int) -> None:
        for name, number in counts.items():
            record_property(COUNTED, (name, int(number)))

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the sums, a line a file."""
    sums: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == COUNTED:
                    sums.setdefault(Path(report.location[0]).stem, Counter())[value[0]] += value[1]
    if sums:
        terminalreporter.section("what was tried")
    for file, counts in sorted(sums.items()):
        found = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
        terminalreporter.write_line(f"{file}: {found}")
