"""What a new interpreter does: which modules a statement loads, and what it prints under other hash seeds."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a new process has after a statement."""
    return set(_run(f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})").decode().split())


def outputs_by_hash_seed(code: str) -> set[bytes]:
    """Return what a program prints, under three hash seeds: one output where none of it depends on them."""
    return {_run(code, PYTHONHASHSEED=seed) for seed in ("0", "1", "2")}


def _run(code: str, **environment: str) -> bytes:
    return subprocess.run([sys.executable, "-c", code], env=os.environ | environment, cwd=ROOT, capture_output=True, check=True).stdout
