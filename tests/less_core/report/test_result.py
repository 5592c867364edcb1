"""The end of a run, in a line and on its page."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from less_core.errors import ConfigError
from less_core.refs import RunRef, SelectionRef
from less_core.report.result import render_failure, render_result, result_line


def run(**more: object) -> RunRef:
    selection = SelectionRef(
        target="gsm8k", path="runs/maths/selected/gsm8k.jsonl", address="", selected=60, tokens=12345, threshold=0.1, passed_over=[]
    )
    found = RunRef(
        name="maths", version="20260301T030000Z-1f3a", folder="runs/maths", report="runs/maths/report.html", selections=[selection]
    )
    return found.model_copy(update=more)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_line_has_counts_changes_and_the_whole_path_of_the_report(tmp_path: Path) -> None:
    line = result_line(run(changes={"gsm8k": "3 in, 3 out of 60"}))
    assert line == f"60 examples for gsm8k (3 in, 3 out of 60); report: {tmp_path}/runs/maths/report.html"


def test_line_of_an_unchanged_selection_says_so_first() -> None:
    assert result_line(run(unchanged="Nothing changed since version v.")).startswith("Nothing changed since version v. 60 examples")


def test_page_names_every_file_by_its_whole_path_and_links_the_report(tmp_path: Path) -> None:
    page = render_result(run(headlines={"gsm8k": "gsm8k: 60 of 1,200 examples"}), "http://127.0.0.1:4201/1/maths/report.html")
    assert "gsm8k: 60 of 1,200 examples" in page
    assert f"`{tmp_path}/runs/maths/selected/gsm8k.jsonl`" in page
    assert f"`{tmp_path}/runs/maths/report.html`" in page
    assert "(http://127.0.0.1:4201/1/maths/report.html)" in page


def test_page_without_a_server_of_results_has_the_path_alone(tmp_path: Path) -> None:
    page = render_result(run(), "")
    assert "](" not in page
    assert f"`{tmp_path}/runs/maths/report.html`" in page


def test_hostile_text_of_a_headline_or_an_error_makes_no_markup() -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1))"
    pages = [
        render_result(run(headlines={"gsm8k": hostile}, changes={"gsm8k": hostile}, unchanged=hostile), ""),
        render_failure(ConfigError("settings", "text", hostile, "Mend it.")),
    ]
    for page in pages:
        shown = MarkdownIt("commonmark", {"html": True}).render(page)
        assert "<script" not in shown
        assert "href" not in shown


def test_failure_is_the_errors_own_sentence() -> None:
    error = ConfigError("model.path", "a folder with a model", "nothing at /models/x", "Check the path.")
    page = render_failure(error)
    assert page.startswith("# What went wrong")
    assert page.replace("\\", "").rstrip().endswith(str(error))
