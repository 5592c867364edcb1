"""The targets of the paper and gsm8k, out of their own files or off the hub."""

import json
from collections.abc import Iterator

from less_core.data.builtin.folders import FOLDERS
from less_core.data.builtin.hub import HUBS
from less_core.data.builtin.renderings import VERSION, Rendered
from less_core.data.pools import RowSource
from less_core.data.rows.files import Row
from less_core.files.fingerprint import fingerprint


class BuiltinRows:
    """Rendered rows, held in memory."""

    def __init__(self, address: str, name: str, rows: list[Rendered]) -> None:
        self.address = address
        self._name = name
        self._rows = rows

    def rows(self) -> Iterator[Row]:
        for index, row in enumerate(self._rows):
            yield Row(self._name, index, index, row)

    def read(self, offset: int) -> bytes:
        return json.dumps(self._rows[offset], ensure_ascii=False).encode()

    def digest(self) -> str:
        return fingerprint({"version": VERSION, "rows": self._rows})


def open_builtin(builtin: str, folder: str, hub: str) -> RowSource:
    """Read and render a built-in target.

    A row has `subtask`, the exact strings `prompt` and `completion`, and what an evaluation needs: mmlu `question`, `choices` and `answer`
    (a letter); bbh `question` and `answer` (the short one); tydiqa `question`, `answers` and, where it has one, `id`; gsm8k `question` and
    `answer` (the final number).

    The folder, or `eval` in it, holds

    - mmlu: `mmlu/dev/<subject>_dev.csv`, each line a question, its choices and the letter of the right one.
    - bbh: `bbh/bbh-three-shot.json`, {task: text}. A text is an instruction and exemplars `Q: ...`, `A: ...` with a blank line before each.
    - tydiqa: `tydiqa/tydiqa-one-shot.json`, {language: [{id, context, question, answers: [{text}]}]}.
    - gsm8k: `gsm8k/*.jsonl`, or `gsm8k.jsonl`, each line {question, answer}.

    A hub data set, or a folder that `datasets` loads like one, has these columns

    - mmlu (cais/mmlu: config all, split dev): question, choices, answer (the place of the right one, from 0), subject.
    - bbh (lukaemon/bbh: a config a task, its first split, 3 rows): input, target. There are no instructions and no worked steps: the
      completion is the target alone.
    - tydiqa (google-research-datasets/tydiqa: config secondary_task, split train): id (the language, a hyphen, ...), context, question,
      answers ({text: [...]}).
    - gsm8k (openai/gsm8k: config main, split train): question, answer.

    The last two are whole training sets, far more than a target needs: take a few.

    Args:
        builtin: mmlu, bbh, tydiqa or gsm8k.
        folder: Path or URL; not used where there is a `hub`.
        hub: Name of a data set, or empty.

    Raises:
        DataError: Something is missing or malformed; names the file, and the line where there are lines.
    """
    rows = list(HUBS[builtin](hub) if hub else FOLDERS[builtin](folder))
    where = f"{builtin} of {hub or folder}"
    return RowSource(where, {builtin: BuiltinRows(where, builtin, rows)})
