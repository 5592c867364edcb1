"""The words of a text and its runs of words, the same for all that compares texts by their words."""

import re
import unicodedata

from less_core.data.example import Example

Gram = tuple[str, ...]

# Scripts written without spaces: there every letter is a word. By the first word of a letter's Unicode name.
_UNSPACED = {"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"}
_MARK = re.compile(r"<\|[^<>|]*\|>")  # <|user|>, <|im_start|>: of the rendering, not of the example


class _Spacing(dict[int, str]):
    """What `str.translate` puts for a character: itself, itself between spaces, or a space. Fills itself as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        # Marks (M) are the vowels of many scripts and part of the word.
        if unicodedata.category(character)[0] not in "LMN":
            self[code] = " "
        elif unicodedata.name(character, "").partition(" ")[0] in _UNSPACED:
            self[code] = f" {character} "
        else:
            self[code] = character
        return self[code]


_SPACING = _Spacing()


def plain_text(example: Example) -> str:
    """Return what an example says, without roles and without the marks of a template."""
    return "\n".join(parts_of(example))


def parts_of(example: Example) -> list[str]:
    """Return what an example says, in the parts that turns and the marks of a template cut it into."""
    if example.messages:
        return [message.content for message in example.messages]
    return [*_MARK.split(example.prompt), example.completion]


def words_of(text: str) -> list[str]:
    """Return the lower-cased runs of letters and digits of a text; of scripts without spaces, each letter."""
    return unicodedata.normalize("NFKC", text).lower().translate(_SPACING).split()


def grams_of(words: list[str], size: int) -> set[Gram]:
    """Return the distinct runs of `size` words; where there are fewer words, the one run of them all; of none, none."""
    if len(words) <= size:
        return {tuple(words)} if words else set()
    return set(zip(*(words[start:] for start in range(size)), strict=False))
