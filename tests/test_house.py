"""The house: rooms that stay small, that say what they hold, and that a reader finds from CONTRIBUTING.md.

`python tests/test_house.py` writes the table of rooms anew.
"""

import ast
import re
from pathlib import Path

import pytest
from processes import loaded_by

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: python tests/test_house.py -->\n", "<!-- /rooms -->"
PACKAGES = ("flows", "tasks", "less_core")
MOST_FILES = 12
APART = {"less_core/report", "tasks"}  # a page each, a stage each


def rooms() -> list[Path]:
    """Every package, from the outermost in."""
    return sorted(path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))


def table() -> str:
    """The rooms as a Markdown table, a line each: the first line of the package's docstring."""
    lines = ["| room | holds |", "| --- | --- |"]
    for room in rooms():
        docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
        lines.append(f"| `{room.relative_to(ROOT)}/` | {docstring.splitlines()[0]} |")
    return "\n".join(lines) + "\n"


def test_core_has_few_entries_and_no_room_has_many_files() -> None:
    assert len([path for path in (ROOT / "less_core").iterdir() if path.name != "__pycache__"]) <= 18
    files = {str(room.relative_to(ROOT)): sum(path.is_file() for path in room.iterdir()) for room in rooms()}
    assert {room: count for room, count in files.items() if count > MOST_FILES and room not in APART} == {}


def test_guide_has_the_rooms_with_their_own_words() -> None:
    written = GUIDE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == table()


def test_files_that_the_guide_names_are_there() -> None:
    named = set(re.findall(r"`((?:flows|tasks|less_core|tests|deployments|benchmarks|docs)/[\w./-]+)`", GUIDE.read_text()))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import less_core.storage.formats.features", {"transformers", "peft", "datasets", "prefect"}),
        ("import less_core.scoring.by_features", {"transformers", "peft", "datasets", "prefect"}),
        ("import less_core.preflight.first_look", {"torch", "transformers", "datasets", "prefect"}),
        ("import flows.cli.main", {"torch", "transformers", "datasets", "prefect"}),
        ("import flows.run.results_links", {"torch", "transformers", "datasets", "prefect"}),
        ("import flows.run.progress", {"torch", "transformers", "peft", "datasets", "matplotlib"}),
    ],
)
def test_what_needs_no_model_loads_no_library_of_models(statement: str, heavy: set[str]) -> None:
    assert loaded_by(statement) & heavy == set()


if __name__ == "__main__":
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    GUIDE.write_text(before + BEGIN + table() + rest[rest.index(END) :])
