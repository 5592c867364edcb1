"""The built-in targets out of the well-known data sets of the hub."""

from collections.abc import Callable, Iterator
from string import ascii_uppercase
from typing import Any

import datasets

from less_core.data.builtin.renderings import Rendered, bbh_rows, gsm8k_row, mmlu_row, tydiqa_row
from less_core.data.builtin.row_parts import list_in, placed, text_in
from less_core.data.rows.paths import first_line
from less_core.errors import DataError

EXEMPLARS = 3  # of a bbh task, as in the file of the LESS scripts


def _mmlu(hub: str) -> Iterator[Rendered]:
    rendered = []
    for where, row in _load(hub, "all", "dev"):
        with placed(where):
            answer = row.get("answer")
            letter = ascii_uppercase[answer : answer + 1] if isinstance(answer, int) else repr(answer)
            rendered.append(mmlu_row(text_in(row, "subject"), text_in(row, "question"), list_in(row, "choices"), letter))
    yield from sorted(rendered, key=lambda row: row["subtask"])  # as the files of the LESS scripts; within a subject as they come


def _bbh(hub: str) -> Iterator[Rendered]:
    try:
        splits = {task: datasets.get_dataset_split_names(hub, task)[0] for task in sorted(datasets.get_dataset_config_names(hub))}
    except Exception as error:  # whatever the hub raises, the user needs the name
        raise DataError(hub, "a data set with a config a task", first_line(error), "Check the name.") from error
    for task, split in splits.items():
        exemplars = []
        for where, row in _load(hub, task, f"{split}[:{EXEMPLARS}]"):
            with placed(where):
                exemplars.append((f"Q: {text_in(row, 'input')}", f" {text_in(row, 'target')}"))
        with placed(f"{hub}, {task}"):
            yield from bbh_rows(task, "", exemplars)


def _tydiqa(hub: str) -> Iterator[Rendered]:
    for where, row in _load(hub, "secondary_task", "train"):
        with placed(where):
            language, answers = text_in(row, "id").partition("-")[0], list_in(row.get("answers"), "text")
            yield tydiqa_row(language, text_in(row, "context"), text_in(row, "question"), answers) | {"id": row["id"]}


def _gsm8k(hub: str) -> Iterator[Rendered]:
    for where, row in _load(hub, "main", "train"):
        with placed(where):
            yield gsm8k_row(text_in(row, "question"), text_in(row, "answer"))


HUBS: dict[str, Callable[[str], Iterator[Rendered]]] = {"mmlu": _mmlu, "bbh": _bbh, "tydiqa": _tydiqa, "gsm8k": _gsm8k}


def _load(hub: str, config: str, split: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a split, each with its place."""
    place = f"{hub}, {config}[{split}]"
    try:
        rows = datasets.load_dataset(hub, config, split=split)
    except Exception as error:  # whatever a reader or the hub raises, the user needs the name
        raise DataError(
            place, "a data set that `datasets` can load", first_line(error), "Check the name, and that it has this config and split."
        ) from error
    for number, row in enumerate(rows, start=1):
        yield f"{place}, row {number}", row
