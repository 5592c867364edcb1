"""The artifact has what a reader needs, stays small, and no text in it becomes markup."""

import base64
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from less_core.data.visible_text import one_line, visible
from less_core.report import markdown
from less_core.report.markdown import MAX_BYTES, render_markdown
from less_core.report.style.inline import fenced, inline, stage_row
from less_core.report.summary import RunSummary, TargetSummary

PNG = b"\x89PNG\r\n\x1a\n"
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# remark-gfm makes links of these in text that has been decoded already.
BARE_LINK = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(\.[-\w]+)+", re.IGNORECASE)
ANY_TEXT = st.text(
    st.one_of(st.sampled_from("<>&\"'=/!-[](){}%#*_~|\\`$:@.+w\n\t\x00\u202e\ud800 "), st.characters(exclude_categories=[])), max_size=60
)


def tokens(text: str) -> list[Token]:
    return [part for token in READER.parse(text) for part in (token, *(token.children or ()))]


def skeleton(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The markup of a document, without its texts: what a text must not be able to change."""
    kinds = [
        (token.type, token.info, {key: value for key, value in token.attrs.items() if key not in ("src", "alt")}) for token in tokens(text)
    ]
    return [kind for kind in kinds if kind[0] != "text"]


def texts(text: str) -> list[str]:
    return [token.content for token in tokens(text) if token.type in ("text", "fence", "image")]


def harmless(text: str) -> str:
    return re.sub(r"[^\n]", "x", visible(text))


@pytest.fixture(scope="module")
def artifact(summary: RunSummary) -> str:
    return render_markdown(summary)


@pytest.fixture(scope="module", autouse=True)
def quick(request: pytest.FixtureRequest) -> Iterable[None]:
    """Leave the drawing out, which has tests of its own, but for the artifact of the realistic run."""
    request.getfixturevalue("artifact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "plot_scores", lambda target: PNG)
        yield


def test_markdown_escapes_markup_in_text(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    text = render_markdown(summary_of(hostile))
    assert skeleton(text) == skeleton(render_markdown(summary_of(harmless(hostile))))
    assert text.encode().decode() == text


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_markdown_escapes_markup_in_any_text(summary_of: Callable[[str], RunSummary], text: str) -> None:
    assert skeleton(render_markdown(summary_of(text))) == skeleton(render_markdown(summary_of(harmless(text))))


def test_markdown_has_no_html_and_no_link(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    kinds = {token.type for token in tokens(render_markdown(summary_of(hostile)))}
    assert not kinds & {
        "html_block",
        "html_inline",
        "link_open",
        "code_block",
        "code_inline",
        "s_open",
        "em_open",
        "softbreak",
        "hardbreak",
    }


def test_markdown_leaves_no_bare_address_to_link(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    parts = [token.content for token in tokens(render_markdown(summary_of(hostile))) if token.type == "text"]
    assert not [part for part in parts if BARE_LINK.search(part)]


@given(ANY_TEXT)
def test_inline_shows_text_as_it_is(text: str) -> None:
    shown = "".join(texts(f"| head |\n| --- |\n| {inline(text, 1_000)} |")[1:]).replace("\u200b", "")
    assert shown == one_line(text).strip()


@pytest.mark.parametrize(
    "text", ["> q", "1) one", "1. one", "+ item", "- item", "- - -", "_it_ a", "a _it_", "__b__", "&lt;b&gt; &#60;", "# h #", "[ ] x"]
)
def test_inline_shows_text_as_it_is_at_start_of_item(text: str) -> None:
    parts = tokens(f"- {inline(text)}\n- next")
    assert [part.content for part in parts if part.type == "text"] == [text, "next"]
    assert {part.type for part in parts} <= {
        *("bullet_list_open", "list_item_open", "paragraph_open", "inline", "text"),
        *("paragraph_close", "list_item_close", "bullet_list_close"),
    }


@given(ANY_TEXT)
def test_fenced_shows_text_as_it_is(text: str) -> None:
    (fence,) = [token for token in READER.parse(f"before\n\n{fenced(text, 1_000)}\n\nafter") if token.type == "fence"]
    assert fence.content == visible(text) + "\n"


def test_markdown_starts_with_headline_of_each_target(artifact: str) -> None:
    read = texts(artifact)
    assert read[0] == "gsm8k-mmlu"
    assert "gsm8k: 40 of 800 examples; 55% of them from gsm8k_train, which is 25% of the pool" in read
    assert "Target mmlu: 3 subtasks left out." in read


@pytest.mark.parametrize(
    "row",
    [
        "gsm8k_train 22 55% 200 25% 2.2×",
        "cot_sensemaking 2 5.0% 60 7.5% 0.67×",
        "train features 3,200 examples 2,400 800 1 h 03 min 0.210 examples/s 13.4 MB",
    ],
)
def test_markdown_tables_have_row(row: str, artifact: str) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", READER.render(artifact), flags=re.DOTALL)
    assert row in {" ".join(re.sub(r"<[^>]*>", " ", cells).split()) for cells in rows}


def test_markdown_has_at_most_ten_sources_a_target(artifact: str) -> None:
    assert artifact.count("| p3_task_") == 10
    assert "and 20 more sources" in artifact


def test_markdown_has_picture_of_scores_a_target(artifact: str) -> None:
    pictures = [token for token in tokens(artifact) if token.type == "image"]
    assert [picture.content for picture in pictures] == [
        f"Scores of the pool and of the selection for {name}" for name in ("gsm8k", "mmlu")
    ]
    for picture in pictures:
        kind, _, data = str(picture.attrs["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(PNG)


def test_markdown_has_five_clipped_examples_a_target(artifact: str) -> None:
    fences = [token.content for token in tokens(artifact) if token.type == "fence"]
    assert len(fences) == 10
    assert max(map(len, fences)) == 300 + len("\n")


def test_markdown_stays_small_with_many_targets(
    monkeypatch: pytest.MonkeyPatch, hostile: str, summary_with: Callable[..., RunSummary], summary_of: Callable[[str], RunSummary]
) -> None:
    monkeypatch.setattr(markdown, "plot_scores", lambda target: PNG + bytes(20_000))
    target = summary_of(hostile * 5 + hostile[:60]).targets[1]
    text = render_markdown(summary_with(targets=[target] * 90))
    assert len(text.encode()) <= MAX_BYTES
    left = 90 - len(re.findall(r"^### Best examples$", text, flags=re.MULTILINE))
    assert left == 0 or f"The HTML report has {left} more targets." in text


def test_markdown_gives_up_pictures_before_targets(
    monkeypatch: pytest.MonkeyPatch, summary_with: Callable[..., RunSummary], target_with: Callable[..., TargetSummary]
) -> None:
    monkeypatch.setattr(markdown, "plot_scores", lambda target: PNG + bytes(60_000))
    text = render_markdown(summary_with(targets=[target_with(f"target{place}") for place in range(12)]))
    assert len(text.encode()) <= MAX_BYTES
    assert text.count("### Best examples") == 12
    assert text.count("data:image/png") == 3
    assert text.index("## target0") < text.index("data:image/png") < text.index("## target1\n")


def test_markdown_of_nothing_is_readable(nothing: RunSummary) -> None:
    assert "gsm8k: none of 0 examples" in texts(render_markdown(nothing))


def test_stage_row_is_plain_values(summary: RunSummary) -> None:
    assert stage_row(summary.stages[2]) == {
        "stage": "train features",
        "unit": "examples",
        "total": 3_200,
        "reused": 2_400,
        "computed": 800,
        "flagged": 0,
        "seconds": 3_801.7,
        "rate": "0.210 examples/s",
        "bytes": 13_400_000,
    }


def test_stage_row_is_inert_read_as_markdown(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    for value in stage_row(summary_of(hostile).stages[1]).values():
        assert {token.type for token in tokens(str(value))} <= {"paragraph_open", "inline", "text", "paragraph_close"}
        assert not BARE_LINK.search(str(value))


def test_stage_row_shows_hidden_and_active_characters_as_codes(summary_of: Callable[[str], RunSummary]) -> None:
    assert stage_row(summary_of("a\u202e<b").stages[0])["stage"] == r"a\u202e\u003cb"
