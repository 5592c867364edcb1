"""The artifact of what changed has it at a glance, stays small, and no text in it becomes markup."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from less_core.changes.records import ChangeSummary
from less_core.data.visible_text import visible
from less_core.report.changes.markdown import change_row, render_changes
from less_core.report.markdown import MAX_BYTES

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
BARE_LINK = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(\.[-\w]+)+", re.IGNORECASE)
ANY_TEXT = st.text(
    st.one_of(st.sampled_from("<>&\"'=/!-[](){}%#*_~|\\`$:@.+w\n\t\x00\u202e\ud800 "), st.characters(exclude_categories=[])), max_size=60
)
Make = Callable[..., Any]
Of = Callable[[str], ChangeSummary]


def tokens(text: str) -> list[Token]:
    return [part for token in READER.parse(text) for part in (token, *(token.children or ()))]


def skeleton(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The markup of a document, without its texts: what a text must not be able to change."""
    return [(token.type, token.info, dict(token.attrs)) for token in tokens(text) if token.type != "text"]


def harmless(text: str) -> str:
    return re.sub(r"[^\n]", "x", visible(text))


def of(changes_of: Of, text: str) -> str:
    return render_changes(changes_of(text), text, text)


@pytest.fixture(scope="module")
def artifact(changes_with: Make) -> str:
    return render_changes(changes_with(), "gsm8k-mmlu", "20251122-133705")


def lines(markdown: str) -> list[str]:
    """The lines as a reader sees them, tables as their cells."""
    return [" ".join(re.sub(r"<[^>]*>", " ", line).split()) for line in re.sub(r"</t[dh]>\n", " ", READER.render(markdown)).split("\n")]


def test_markdown_escapes_markup_in_text(hostile: str, changes_of: Of) -> None:
    text = of(changes_of, hostile)
    assert skeleton(text) == skeleton(of(changes_of, harmless(hostile)))
    assert text.encode().decode() == text


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_markdown_escapes_markup_in_any_text(changes_of: Of, text: str) -> None:
    assert skeleton(of(changes_of, text)) == skeleton(of(changes_of, harmless(text)))


def test_markdown_has_no_html_no_link_and_no_bare_address(hostile: str, changes_of: Of) -> None:
    found = tokens(of(changes_of, hostile))
    assert not {token.type for token in found} & {
        *("html_block", "html_inline", "link_open", "code_block", "code_inline", "image", "s_open", "em_open", "softbreak", "hardbreak"),
    }
    assert not [token.content for token in found if token.type == "text" and BARE_LINK.search(token.content)]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "http://a.example/)[x](http://b.example"])
def test_markdown_links_to_no_address_that_could_act(link: str, changes_with: Make) -> None:
    text = render_changes(changes_with(before_link=link), "run", "2")
    assert "compared with 20251115-080000; computed" in text
    assert "link_open" not in {token.type for token in tokens(text)}


def test_markdown_links_to_the_version_before(artifact: str) -> None:
    (link,) = [token for token in tokens(artifact) if token.type == "link_open"]
    assert link.attrs["href"] == "http://127.0.0.1:4200/runs/flow-run/0193?tab=logs&all=1"


@pytest.mark.parametrize(
    "line",
    [
        "gsm8k : 3 in, 3 out of 40; overlap (Jaccard) 0.86",
        "mmlu : the same 40 examples",
        "The same base model. The same checkpoints as the last version.",
        "gsm8k_train 198 200 3 1 2",
        "mmlu: changed, 280 examples before, 285 now",
        "selection.amount: 0.1 → 0.05",
        "new in the pool: 1 of the 3 that came in; no longer in the pool: 0 of the 3 that went out",
        "gsm8k_train 197 0.03010 0.03120 0.001100 0.002100",
        "rank – → 7 · score – → 0.05421 · codegen · part-1.jsonl:259 · new in the pool",
        "rank 36 → 56 · score 0.03907 → 0.03576 · gsm8k_train · part-0.jsonl:532 · fell",
    ],
)
def test_markdown_has_line(line: str, artifact: str) -> None:
    assert line in lines(artifact)


def test_markdown_starts_with_cost_and_what_moved(artifact: str) -> None:
    text = " ".join(lines(artifact))
    assert (
        "Version 20251122-133705, compared with 20251115-080000 ; computed 120 of 2,400 features (5.0%) in 31 s; from nothing about" in text
    )
    assert text.index("computed 120") < text.index("3 in, 3 out") < text.index("Inputs")


def test_markdown_clips_texts_and_leaves_out_empty_ones(artifact: str) -> None:
    fences = [token.content for token in tokens(artifact) if token.type == "fence"]
    assert len(fences) == 5  # of six moves, the last of which has no text
    assert max(map(len, fences)) == 300 + len("\n")


def test_markdown_shows_five_moves_each_way(changes_with: Make, selection_with: Make, move_with: Make) -> None:
    change = selection_with(came_in=1_200, moved_in=[move_with(rank) for rank in range(1, 9)], moved_out=[])
    text = render_changes(changes_with(selections=[change]), "run", "2")
    assert "### Came in, the first 5 of 1,200\n" in text
    assert text.count("\nrank ") == 5


@pytest.mark.parametrize("what", ["pools", "targets", "settings", "selections"])
def test_markdown_says_how_many_of_a_long_list_are_left_out(what: str, changes_with: Make) -> None:
    item = getattr(changes_with(), what)[0]
    text = render_changes(changes_with(**{what: [item] * 25}), "run", "2")
    assert f"and 5 more {'target' if what == 'selections' else what[:-1]}s" in text


def test_markdown_stays_small_with_many_targets(hostile: str, changes_with: Make, changes_of: Of) -> None:
    large = changes_of(hostile * 5 + hostile[:60])
    change = large.selections[0].model_copy(
        update={"moved_in": large.selections[0].moved_in[:1] * 9, "drift": large.selections[0].drift * 9}
    )
    summary = large.model_copy(update={"selections": [change] * 90, "settings": large.settings * 90, "pools": large.pools * 90})
    text = render_changes(summary, hostile, hostile)
    assert len(text.encode()) <= MAX_BYTES
    left = 90 - len(re.findall(r"^### Went out$", text, flags=re.MULTILINE))
    assert left == 0 or f"The HTML report has {left} more targets." in text


def test_markdown_leaves_out_targets_only_where_there_is_no_room(changes_with: Make, selection_with: Make, move_with: Make) -> None:
    change = selection_with(moved_in=[move_with(rank, text="語" * 300) for rank in range(1, 6)])
    few, many = (render_changes(changes_with(selections=[change] * count), "run", "2") for count in (20, 200))
    assert (few.count("### Went out"), "The HTML report has" in few) == (20, False)
    shown = many.count("### Went out")
    assert f"The HTML report has {200 - shown} more targets." in many
    assert MAX_BYTES - 10_000 < len(many.encode()) <= MAX_BYTES


def test_markdown_of_no_change_is_readable(no_change: ChangeSummary) -> None:
    text = lines(render_changes(no_change, "run", "2"))
    assert "gsm8k : the same 0 examples" in text
    assert "The same settings." in text
    assert "nan" not in " ".join(text).lower()


def test_change_row_is_plain_values(selection_with: Make, no_change: ChangeSummary) -> None:
    assert change_row(selection_with()) == {
        "target": "gsm8k",
        "before": 40,
        "now": 40,
        "came in": 3,
        "went out": 3,
        "jaccard": 0.86,
        "spearman": 0.973,
        "mean rank shift": 2.5,
    }
    row = change_row(no_change.selections[0])
    assert (row["spearman"], row["mean rank shift"]) == ("–", "–")


def test_change_row_is_inert_read_as_markdown(hostile: str, changes_of: Of) -> None:
    for value in change_row(changes_of(hostile).selections[0]).values():
        assert {token.type for token in tokens(str(value))} <= {"paragraph_open", "inline", "text", "paragraph_close"}
        assert not BARE_LINK.search(str(value))
