"""Hidden characters become visible, and only these."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.data.visible_text import clip, one_line, visible

ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("\x00\x1b[31m\x7f\x85", "\\u0000\\u001b[31m\\u007f\\u0085"),
        ("lone \ud800", "lone \\ud800"),
        ("\U000e0041\U0010ffff", "\\U000e0041\\U0010ffff"),
        ("windows\r\nlines", "windows\nlines"),
        ("old mac\rlines", "old mac\\u000dlines"),
    ],
)
def test_visible_shows_code_of_hidden_character(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    ["two\nlines\tand a tab", "你好 Größe مرحبا \U0001f600", "می\u200cخواهم", "\U0001f469\u200d\U0001f52c", r"already \u202e", "e\u0301"],
)
def test_visible_leaves_ordinary_text_alone(text: str) -> None:
    assert visible(text) == text


@given(ANY_TEXT)
def test_visible_text_can_be_encoded_and_has_no_control_or_bidi_character(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode() == shown
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not [
        c
        for c in shown
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t") or unicodedata.bidirectional(c) in directions
    ]


@given(ANY_TEXT)
def test_visible_is_idempotent(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(ANY_TEXT)
def test_one_line_has_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert "\t" not in one_line(text)


def test_clip_keeps_limit_and_shows_cut() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdefg", 6) == "abcde…"
