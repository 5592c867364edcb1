"""Text from a pool, made safe to look at: nothing in it hides, reorders its line or breaks the encoding.

This is about what a reader sees. Keeping the text from being read as HTML or Markdown is left to each renderer.
"""

import re

# Control characters but newline and tab; marks and overrides of direction (Unicode TR9, "Trojan Source", arXiv 2111.00169);
# separators that some readers take for a line end; characters without ink; tags; lone surrogates; noncharacters.
# ZERO WIDTH (NON-)JOINER stay: Persian and emoji are written with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
    + "".join(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def escape(character: str) -> str:
    r"""Return a character as its code: ``\u202e``, or ``\U000e0041`` above U+FFFF."""
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    """Return `text` with every hidden character as its code. The result can be encoded as UTF-8; its newlines and tabs are kept."""
    return _HIDDEN.sub(lambda match: escape(match.group()), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""Return `text` as `visible` does, with newlines and tabs as ``\n`` and ``\t`` too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters; a cut is shown as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
