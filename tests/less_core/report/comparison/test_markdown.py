"""The page of a comparison has what a reader needs, and no text in it becomes markup."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from outcome_samples import LOSSES, make_comparison, make_outcomes

from less_core.data.visible_text import visible
from less_core.report.comparison.markdown import comparison_row, render_comparison
from less_core.report.comparison.outcomes import UNTRAINED, ComparisonSummary, method_rows

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
BARE_LINK = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(\.[-\w]+)+", re.IGNORECASE)
ANY_TEXT = st.text(
    st.one_of(st.sampled_from("<>&\"'=/!-[](){}%#*_~|\\`$:@.+w\n\t\x00\u202e\ud800 "), st.characters(exclude_categories=[])), max_size=60
)
PICTURES = {"Losses of methods over seeds": "outcomes.png", "How far selections for t agree": "agreement-t.png"}


def tokens(text: str) -> list[Token]:
    return [part for token in READER.parse(text) for part in (token, *(token.children or ()))]


def skeleton(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The markup of a document, without its texts: what a text must not be able to change."""
    kinds = [(token.type, token.info, {key: value for key, value in token.attrs.items() if key != "alt"}) for token in tokens(text)]
    return [kind for kind in kinds if kind[0] != "text"]


def harmless(text: str) -> str:
    return re.sub(r"[^\n]", "x", visible(text))


def comparison_of(text: str) -> ComparisonSummary:
    """A comparison whose every string is `text`: of a method, the best, too."""
    losses = {text: [1.0, 1.1, 1.05], "less": [1.2, 1.3, 1.1], UNTRAINED: [1.5]}
    outcomes = make_outcomes(losses, target=text, accuracy=0.5, tasks={text: 0.25})
    return make_comparison(outcomes, name=text, model=text, trained=text, training=text, settings_yaml=text)


def page_of(text: str) -> str:
    return render_comparison(comparison_of(text), {text: "outcomes.png"})


def lines(markdown: str) -> list[str]:
    """The lines as a reader sees them, tables as their cells."""
    return [" ".join(re.sub(r"<[^>]*>", " ", line).split()) for line in re.sub(r"</t[dh]>\n", " ", READER.render(markdown)).split("\n")]


@pytest.fixture(scope="module")
def page() -> str:
    """Of two targets, the second with right answers and a task of lm-eval for some."""
    answered = make_outcomes({"less": [1.1, 1.2], "random": [1.4, 1.3]}, target="u", accuracy=0.5, tasks={"arc/acc": 0.25})
    unanswered = make_outcomes({"bm25": [1.3, 1.4]}, target="u")
    return render_comparison(make_comparison([*make_outcomes(), *answered, *unanswered]), PICTURES)


def test_page_escapes_markup_in_text(hostile: str) -> None:
    if not hostile.strip(" "):
        pytest.skip("has a test of its own")
    text = page_of(hostile)
    assert skeleton(text) == skeleton(page_of(harmless(hostile)))
    assert text.encode().decode() == text


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_page_escapes_markup_in_any_text(text: str) -> None:
    assume(text.strip())
    assert skeleton(page_of(text)) == skeleton(page_of(harmless(text)))


@pytest.mark.parametrize("text", ["", " "])
def test_page_shows_a_target_without_a_name_to_see(text: str) -> None:
    assert skeleton(page_of(text)) == skeleton(page_of("x"))


def test_page_has_no_html_no_link_and_no_bare_address(hostile: str) -> None:
    found = tokens(page_of(hostile))
    assert not {token.type for token in found} & {
        *("html_block", "html_inline", "link_open", "code_block", "code_inline", "fence", "s_open", "em_open", "softbreak", "hardbreak"),
    }
    assert not [token.content for token in found if token.type == "text" and BARE_LINK.search(token.content)]


def test_page_tables_are_tables_of_as_many_cells_as_they_have_heads(hostile: str) -> None:
    text = page_of(hostile)
    kinds = [token.type for token in tokens(text)]
    assert kinds.count("table_open") == 1
    assert kinds.count("th_open") == 5
    assert kinds.count("td_open") == 5 * len(method_rows(comparison_of(hostile).outcomes, hostile))


@pytest.mark.parametrize(
    "line",
    [
        "side-by-side: methods side by side",
        "selected with HuggingFaceTB/SmolLM2-135M-Instruct · trained HuggingFaceTB/SmolLM2-360M · LoRA of rank 128, 4 epochs, "
        "batch 128, learning rate 2e-05 · 3 seeds: mean ± standard deviation · 3 min 12 s to train and judge",
        "less 0.05 40 1.2000 ± 0.0200",
        "random 0.05 40 1.3100 ± 0.0100",
        "untrained 40 1.6000",
        "method trained on held-out loss",
        "method trained on held-out loss right answers arc/acc",
        "less 0.05 40 1.1500 ± 0.0707 0.500 ± 0.000 0.2500 ± 0.0000",
        "bm25 0.05 40 1.3500 ± 0.0707 – –",
        "Loss is the mean over 1,200 held-out examples; lower is better.",
    ],
)
def test_page_has_line(line: str, page: str) -> None:
    assert line in lines(page)


def test_page_starts_with_the_verdict_of_each_target_and_has_pictures_before_tables(page: str) -> None:
    text = " ".join(lines(page))
    assert text.index("t : lowest loss: less 0.05 (1.2000 ± 0.0200)") < text.index("u : lowest loss: less 0.05 (1.1500 ± 0.0707)")
    pictures = [(token.content, token.attrs["src"]) for token in tokens(page) if token.type == "image"]
    assert pictures == list(PICTURES.items())
    kinds = [token.type for token in tokens(page)]
    assert kinds.index("list_item_open") < kinds.index("image") < kinds.index("table_open")
    assert kinds.count("table_open") == 2


def test_page_lists_the_lowest_loss_first(page: str) -> None:
    first = [line.split()[0] for line in lines(page) if re.match(r"(less|random|bm25|whole|untrained)( \S+)* \d+ \d\.\d{4}", line)]
    assert first == ["less", "whole", "bm25", "random", "untrained", "less", "bm25", "random"]


def test_page_of_one_seed_has_no_deviation() -> None:
    one = {method: found[:1] for method, found in LOSSES.items()}
    text = " ".join(lines(render_comparison(make_comparison(make_outcomes(one), seeds=[0]), {})))
    assert "1 seed ·" in text
    assert "less 0.05 40 1.2000 " in text
    assert "±" not in text
    assert "image" not in {token.type for token in tokens(text)}


def test_row_of_a_table_artifact_is_plain_values_that_sort() -> None:
    outcomes = make_outcomes({"less": [1.2, 1.3]}, accuracy=0.5, tasks={"arc/acc": 1 / 3})
    (row,) = method_rows(outcomes, "t")
    assert comparison_row(row) == {
        "target": "t",
        "method": "less 0.05",
        "examples": 40,
        "loss": 1.25,
        "deviation": 0.0707,
        "right answers": "50%",
        "arc/acc": 0.3333,
    }


def test_row_of_a_table_artifact_leaves_out_what_was_not_measured() -> None:
    (row,) = method_rows(make_outcomes({"untrained": [1.2]}), "t")
    assert comparison_row(row) == {"target": "t", "method": "untrained", "examples": 40, "loss": 1.2, "deviation": "–"}


def test_row_of_a_table_artifact_is_inert_read_as_markdown(hostile: str) -> None:
    for row in method_rows(comparison_of(hostile).outcomes, hostile):
        for value in (*comparison_row(row), *comparison_row(row).values()):
            assert {token.type for token in tokens(str(value))} <= {"paragraph_open", "inline", "text", "paragraph_close"}
            assert not BARE_LINK.search(str(value))
