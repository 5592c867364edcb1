"""The page shows everything, fetches nothing, and no text in it can act."""

import base64
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.changes.records import ChangeSummary
from less_core.data.visible_text import visible
from less_core.report import html
from less_core.report.html import preview, render_html
from less_core.report.summary import RunSummary

PNG = b"\x89PNG\r\n\x1a\n"
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer", "nav", "h1", "h2", "h3", "p", "a", "b"),
    *("small", "span", "bdi", "time", "dl", "div", "dt", "dd", "ul", "li", "figure", "img", "figcaption", "article", "pre", "code"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "details", "summary"),
}


class Page(HTMLParser):
    """What a browser would make of a page: its elements in order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.ends: list[str] = []
        self.other: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.ends.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)

    def skeleton(self) -> tuple[Any, ...]:
        """Everything but text: what a text must not be able to change. An `alt` is text."""
        elements = [(tag, [(name, None if name == "alt" else value) for name, value in attrs]) for tag, attrs in self.elements]
        return elements, self.ends, self.other

    def values(self, attribute: str) -> list[str | None]:
        return [value for _, attrs in self.elements for name, value in attrs if name == attribute]


@pytest.fixture(scope="module")
def page(summary: RunSummary) -> str:
    return render_html(summary)


@pytest.fixture(scope="module")
def drawn(page: str) -> Page:
    return Page(page)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing out, which has tests of its own."""
    for name in ("plot_scores", "plot_sources", "plot_lengths"):
        monkeypatch.setattr(html, name, lambda target: PNG)


@pytest.fixture(scope="module")
def quick_all() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_scores", "plot_sources", "plot_lengths"):
            patch.setattr(html, name, lambda target: PNG)
        yield


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def harmless(text: str) -> str:
    """Return text of the same shape that means nothing to anyone."""
    return re.sub(r"[^\n]", "x", visible(text))


@pytest.mark.usefixtures("quick")
def test_report_escapes_html_in_pool_text(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    page = Page(render_html(summary_of(hostile)))
    assert page.skeleton() == Page(render_html(summary_of(harmless(hostile)))).skeleton()
    assert visible(hostile) in page.text


@pytest.mark.usefixtures("quick_all")
@settings(max_examples=30, deadline=None)
@given(st.text(st.one_of(st.sampled_from("<>&\"'=/!-[]{}%#`\n\x00\u202e\ud800 "), st.characters(exclude_categories=[])), max_size=60))
def test_report_escapes_html_in_any_text(summary_of: Callable[[str], RunSummary], text: str) -> None:
    page = Page(render_html(summary_of(text)))
    assert page.skeleton() == Page(render_html(summary_of(harmless(text)))).skeleton()


@pytest.mark.usefixtures("quick")
def test_report_shows_hidden_characters_as_codes(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    page = render_html(summary_of(hostile))
    assert visible(page) == page
    assert page.encode().decode() == page


def test_report_has_only_known_elements_and_no_handler(drawn: Page) -> None:
    assert {tag for tag, _ in drawn.elements} <= TAGS
    assert not [name for _, attrs in drawn.elements for name, _ in attrs if name.startswith("on") or name == "srcdoc"]


def test_report_fetches_nothing(drawn: Page) -> None:
    assert all(value and value.startswith("data:image/png;base64,") for value in drawn.values("src"))
    assert all(value and value.startswith("#") for value in drawn.values("href"))
    assert "url(" not in drawn.text  # the style sheet is part of the text
    assert "@import" not in drawn.text


def test_report_forbids_scripts_and_outside_resources(drawn: Page) -> None:
    metas = [dict(attrs) for tag, attrs in drawn.elements if tag == "meta"]
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_report_embeds_three_described_pictures_a_target(drawn: Page) -> None:
    pictures = [dict(attrs) for tag, attrs in drawn.elements if tag == "img"]
    assert len(pictures) == 6
    for picture in pictures:
        assert base64.b64decode((picture["src"] or "").partition(",")[2]).startswith(PNG)
    assert pictures[0]["alt"] == "Histogram of the scores of 800 examples; the 40 selected score at least 0.02981."
    assert "gsm8k_train 55% against 25%" in (pictures[2]["alt"] or "")


def test_report_links_lead_to_sections(drawn: Page) -> None:
    ids = drawn.values("id")
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} == set(drawn.values("href"))


def test_report_starts_with_what_was_selected(drawn: Page) -> None:
    text = " ".join(drawn.text.split())
    assert "gsm8k: 40 of 800 examples; 55% of them from gsm8k_train, which is 25% of the pool 9,431 tokens" in text
    assert text.index("71distinct") < text.index("gsm8k: 40 of 800") < text.index("Pool codegen: 4 bad rows") < text.index("Best examples")


@pytest.mark.usefixtures("quick")
def test_report_counts_selection_of_single_target(summary: RunSummary, summary_with: Callable[..., RunSummary]) -> None:
    assert "Selected 40 9,431 tokens · 5% of the pool Pool" in words(render_html(summary_with(targets=summary.targets[:1], merged=0)))


@pytest.mark.parametrize(
    "row",
    [
        "gsm8k_train 22 55% 200 25% 2.2×",
        "cot_aqua flan_cot 9 22% 90 11% 2.0×",
        "checkpoint-2 2 1.800e-05 44% 76%",
        "codegen 155 4 1 0 150 3 0 0 37,355",
        "All 807 4 3 0 800 17 7 0 194,487",
        "train features 3,200 examples 2,400 800 1 h 03 min 0.210 examples/s 13.4 MB",
        "warmup 4 checkpoints 4 0 0.2 s – 0 B",
        "prefect 3.8.8",
    ],
)
def test_report_tables_have_row(row: str, page: str) -> None:
    assert row in {words(cells) for cells in re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)}


@pytest.mark.usefixtures("quick")
def test_report_shows_every_text_of_the_summary(summary: RunSummary) -> None:
    seen: list[str] = []

    def numbered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item if key == "example_id" else numbered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [numbered(item) for item in value]
        if not isinstance(value, str):
            return value
        seen.append(f"text-{len(seen)}.")
        return seen[-1]

    dump = summary.model_dump()
    dump["targets"][0]["best_subtasks"] = []  # not shown for a target of one subtask
    del dump["targets"][1]["best_subtasks"][15:]  # the page has the first fifteen
    text = Page(render_html(RunSummary.model_validate(numbered(dump)))).text
    assert [name for name in seen if name not in text] == []


@pytest.mark.usefixtures("quick")
def test_report_keeps_whole_of_long_text(summary_of: Callable[[str], RunSummary]) -> None:
    text = " ".join(f"word{place}" for place in range(2_000))
    page = render_html(summary_of(text))
    assert f">{text}</pre>" in page
    assert '<pre dir="auto" class="start">word0 word1' in page


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", ["short", "a\n" * 7 + "b", "x" * 420])
def test_report_shows_short_text_once(text: str, summary_of: Callable[[str], RunSummary]) -> None:
    page = render_html(summary_of(text))
    assert f'<pre dir="auto">{text}</pre>' in page
    assert 'class="start"' not in page


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("x" * 421, "x" * 419 + "…"),
        ("a\n" * 20, "\n".join("a" * 8) + " …"),
        ("\x00" * 100, "\\u0000" * 69 + "\\u000…"),
        ("a\n" * 7 + "b", None),
    ],
)
def test_preview_is_start_of_long_text(text: str, start: str | None) -> None:
    assert preview(text) == start


def test_report_of_nothing_is_a_page(nothing: RunSummary) -> None:
    page = Page(render_html(nothing))
    assert "gsm8k: none of 0 examples" in " ".join(page.text.split())
    assert "nan" not in page.text.lower().split()


@pytest.mark.usefixtures("quick")
def test_report_without_targets_is_a_page(summary_with: Callable[..., RunSummary]) -> None:
    assert Page(render_html(summary_with(targets=[]))).values("src") == []


@pytest.fixture
def changed(quick: None, summary_with: Callable[..., RunSummary], changes_with: Callable[..., ChangeSummary]) -> str:
    return render_html(summary_with(version="20251122-133705", changes=changes_with()))


@pytest.mark.usefixtures("quick")
def test_report_has_changes_only_where_there_is_a_version_before(summary: RunSummary, changed: str) -> None:
    for part in ('href="#changes"', 'id="changes"', "Since the last version", "version <bdi>20251122-133705</bdi>"):
        assert part in changed
        assert part not in render_html(summary)


def test_report_shows_changes_before_the_targets_and_in_known_elements(changed: str) -> None:
    page = Page(changed)
    assert {tag for tag, _ in page.elements} <= TAGS
    ids = page.values("id")
    assert ids[:2] == ["changes", "target-1"]
    assert set(page.values("href")) - {f"#{name}" for name in ids} == {"http://127.0.0.1:4200/runs/flow-run/0193?tab=logs&all=1"}


@pytest.mark.parametrize(
    "sentence",
    [
        "Compared with 20251115-080000 ; computed 120 of 2,400 features (5.0%) in 31 s; from nothing about 9 min 20 s.",
        "gsm8k : 3 in, 3 out of 40; overlap (Jaccard) 0.86 new in the pool: 1 of the 3 that came in;",
        "mmlu : the same 40 examples 780 examples scored in both versions, rank correlation (Spearman) 0.97;",
        "The same base model. The same checkpoints as the last version.",
        "Target bbh : removed, 81 examples.",
        "rank – → 7 – → 0.05421 new in the pool codegen part-1.jsonl :259",
        "rank 40 → 60 0.03825 → 0.03527 fell gsm8k_train part-1.jsonl :680",
    ],
)
def test_report_says_what_changed(sentence: str, changed: str) -> None:
    assert sentence in words(changed)


@pytest.mark.parametrize(
    "row", ["gsm8k_train 198 200 3 1 2", "selection.amount 0.1 0.05", "codegen 150 0.01010 0.009900 -0.0002000 0.0008000"]
)
def test_report_tables_of_changes_have_row(row: str, changed: str) -> None:
    assert row in {words(cells) for cells in re.findall(r"<tr>(.*?)</tr>", changed, flags=re.DOTALL)}


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//evil.example", '"><script>alert(1)</script>'])
@pytest.mark.usefixtures("quick")
def test_report_links_to_no_address_that_could_act(
    link: str, summary_with: Callable[..., RunSummary], changes_with: Callable[..., ChangeSummary]
) -> None:
    page = Page(render_html(summary_with(changes=changes_with(before_link=link))))
    assert all(value and value.startswith("#") for value in page.values("href"))
    assert "Compared with 20251115-080000;" in page.text


@pytest.mark.usefixtures("quick")
def test_report_shows_every_move_the_first_five_at_once(
    summary_with: Callable[..., RunSummary], changes_with: Callable[..., ChangeSummary], selection_with: Callable[..., Any], move_with: Any
) -> None:
    change = selection_with(came_in=12, moved_in=[move_with(rank, text=f"move {rank}.") for rank in range(1, 9)], moved_out=[])
    text = words(render_html(summary_with(targets=[], changes=changes_with(selections=[change]))))
    assert "Came in, the first 8 of 12 rank 21 → 1" in text
    assert (
        text.index("move 5.")
        < text.index("3 more")
        < text.index("move 6.")
        < text.index("move 8.")
        < text.index("Went out, the first 0 of 3 None.")
    )


@pytest.mark.usefixtures("quick")
def test_report_of_no_change_is_a_page(summary_with: Callable[..., RunSummary], no_change: ChangeSummary) -> None:
    page = Page(render_html(summary_with(changes=no_change)))
    assert "gsm8k: the same 0 examples" in " ".join(page.text.split())
    assert "nan" not in page.text.lower().split()
