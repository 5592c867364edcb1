"""The built-in targets out of a folder laid out as that of the LESS scripts."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import fsspec

from less_core.data.builtin.renderings import Rendered, bbh_rows, gsm8k_row, mmlu_row, tydiqa_row
from less_core.data.builtin.row_parts import MEND, list_in, placed, text_in
from less_core.data.rows.files import JsonLines
from less_core.data.rows.paths import CHECK_PATH, first_line
from less_core.errors import DataError


def _mmlu(folder: str) -> Iterator[Rendered]:
    for address in _find(folder, "mmlu/dev/*_dev.csv"):
        subject = PurePosixPath(address).name.removesuffix("_dev.csv")
        # Not by pandas, as in the LESS scripts: it takes choices such as None and N/A for missing ones.
        lines = csv.reader(io.StringIO(_read(address), newline=""), strict=True)
        try:
            for question, *rest in filter(None, lines):
                with placed(f"{address}, line {lines.line_num}"):
                    yield mmlu_row(subject, question, rest[:-1], "".join(rest[-1:]))
        except csv.Error as error:
            raise DataError(f"{address}, line {lines.line_num}", "comma-separated values", str(error), MEND) from None


def _bbh(folder: str) -> Iterator[Rendered]:
    for address in _find(folder, "bbh/bbh-three-shot.json"):
        tasks = _read_json(address)
        for task in tasks:
            with placed(f"{address}, {task}"):
                instruction, *exemplars = re.split(r"(?:\A|\n\n)(?=Q:)", text_in(tasks, task))
                pairs = [exemplar.partition("\nA:") for exemplar in exemplars]
                yield from bbh_rows(task, instruction, [(question, answer) for question, _, answer in pairs])


def _tydiqa(folder: str) -> Iterator[Rendered]:
    for address in _find(folder, "tydiqa/tydiqa-one-shot.json"):
        languages = _read_json(address)
        for language in languages:
            with placed(f"{address}, {language}"):
                for row in list_in(languages, language):
                    answers = [text_in(answer, "text") for answer in list_in(row, "answers")]
                    rendered = tydiqa_row(language, text_in(row, "context"), text_in(row, "question"), answers)
                    yield rendered | ({"id": row["id"]} if "id" in row else {})


def _gsm8k(folder: str) -> Iterator[Rendered]:
    for address in _find(folder, "gsm8k/*.jsonl", "gsm8k.jsonl"):
        for row in JsonLines(address, "").rows():
            where = f"{address}, line {row.index + 1}"
            if row.fault:
                raise DataError(where, "one JSON object", row.fault, MEND)
            with placed(where):
                yield gsm8k_row(text_in(row.value, "question"), text_in(row.value, "answer"))


FOLDERS: dict[str, Callable[[str], Iterator[Rendered]]] = {"mmlu": _mmlu, "bbh": _bbh, "tydiqa": _tydiqa, "gsm8k": _gsm8k}


def _find(folder: str, *patterns: str) -> list[str]:
    """Return the addresses of the files of the first pattern that has any, by name; patterns stand in the folder or in its `eval`."""
    try:
        file_system, inner = fsspec.core.url_to_fs(folder)
        for pattern in patterns:
            for above in (inner, f"{inner}/eval"):
                place, _, wanted = f"{above}/{pattern}".rpartition("/")
                if file_system.isdir(place):
                    names = [PurePosixPath(name).name for name in file_system.ls(place, detail=False)]
                    if found := sorted(name for name in names if fnmatchcase(name, wanted) and not name.startswith(".")):
                        start = folder.rstrip("/") + place.removeprefix(inner)
                        return [f"{start}/{name}" for name in found]
    except (ImportError, ValueError) as error:  # no such protocol, or its package is not installed
        raise DataError(folder, "a folder that fsspec can open", first_line(error), CHECK_PATH) from None
    raise DataError(folder, f"{' or '.join(patterns)}, here or in eval/", "nothing there", CHECK_PATH)


def _read(address: str) -> str:
    try:
        with fsspec.open(address, "rb") as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(address, "UTF-8", f"a byte that is not at {error.start}", MEND) from None


def _read_json(address: str) -> dict[str, Any]:
    text = _read(address)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{address}, line {error.lineno}", "JSON", error.msg, MEND) from None
    if not isinstance(value, dict):
        raise DataError(address, "a JSON object", type(value).__name__, MEND)
    return value
