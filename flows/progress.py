"""Progress of a stage: a bar on the terminal, an artifact in the Prefect UI."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from tqdm import tqdm

from less_core.refs import FeatureWork
from tasks.runtime import RUNTIME

UPDATES = 20  # of the artifact in a stage, at most


@contextmanager
def examples_bar(stage: str, examples: int) -> Iterator[None]:
    """Show examples/s, tokens/s and the time left while examples are computed in this process; nothing where no one looks."""
    started, tokens = time.monotonic(), 0
    with tqdm(total=examples, desc=stage, unit="example", disable=not (examples and sys.stderr.isatty())) as bar:

        def advance(new_examples: int, new_tokens: int) -> None:
            nonlocal tokens
            tokens += new_tokens
            bar.set_postfix_str(f"{tokens / (time.monotonic() - started):.0f} tokens/s", refresh=False)
            bar.update(new_examples)

        RUNTIME.progress = advance
        try:
            yield
        finally:
            RUNTIME.progress = None


def show_plan(side: str, work: Sequence[FeatureWork]) -> None:
    """Show, a row a checkpoint, what the store has of a stage's features and what is missing."""
    rows = []
    for checkpoint in dict.fromkeys(w.checkpoint for w in work):
        of_it = [w for w in work if w.checkpoint == checkpoint]
        rows.append(
            {
                "checkpoint": f"{checkpoint.number}/{checkpoint.of}, step {checkpoint.step}",
                "shards": len(of_it),
                "examples": sum(w.examples for w in of_it),
                "missing": sum(w.missing for w in of_it),
            }
        )
    create_table_artifact(
        key=f"{side}-features-plan", table=rows, description=f"What the store has of the {side} features, and what is missing"
    )


class StageProgress:
    """The progress artifact of a stage of `total` steps."""

    def __init__(self, stage: str, total: int) -> None:
        self._total = total
        self._done = self._shown = 0
        self._artifact: UUID = create_progress_artifact(progress=0.0, key=f"{stage.replace(' ', '-')}-progress", description=stage)  # type: ignore[assignment]

    def step(self) -> None:
        """Count a step; show it where it is worth an update."""
        self._done += 1
        if self._done == self._total or (self._done - self._shown) * UPDATES >= self._total:
            self._shown = self._done
            update_progress_artifact(artifact_id=self._artifact, progress=100.0 * self._done / self._total)
