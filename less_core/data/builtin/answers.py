"""Whether a model's answer to a row of a built-in target is right. mmlu is judged by the likelihood of its choices, not here."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_LEAD = re.compile(r"####|answer is", re.IGNORECASE)  # what stands before an answer at the end of worked steps
_NUMBER = re.compile(r"(?:(?<![\w.)\]])-)?(?:(?:\d+(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")  # the minus of 3-2 is no sign
_SENTENCE_END = re.compile(r"\.\s")
_IN_BRACKETS = re.compile(r"\((\w)\)")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def right_answer(builtin: str, row: Mapping[str, Any], output: str) -> bool:
    """Return whether what a model wrote after a row's prompt is right.

    Args:
        builtin: gsm8k, bbh or tydiqa.
        row: A row of that target, with its `answer` or `answers`.
        output: What the model wrote.
    """
    if builtin == "gsm8k":
        return same_number(output, row["answer"])
    if builtin == "bbh":
        return same_short_answer(output, row["answer"])
    return same_span(output, row["answers"])


def same_number(output: str, answer: str) -> bool:
    """Return whether the number that the output comes to equals `answer` in value: 18, $18.00 and 18. are one number."""
    number = final_number(output)
    return bool(number) and Decimal(number) == Decimal(answer)


def same_short_answer(output: str, answer: str) -> bool:
    """Return whether the output's short answer is `answer`, whatever the case, the white space and the brackets of a choice, as (B)."""
    return _plain_choice(short_answer(output)) == _plain_choice(answer)


def same_span(output: str, answers: list[str]) -> bool:
    """Return whether the output's first line is one of `answers`: the exact match of SQuAD, with the punctuation of every script.

    Case, white space, punctuation and symbols, and the English articles do not count. An output of nothing else is wrong.
    """
    said = _plain_span(_first_line(output))
    return bool(said) and said in {_plain_span(answer) for answer in answers}


def final_number(text: str) -> str:
    """Return the number that worked steps come to, without separators of thousands; empty where there is none.

    It is the last one in the first sentence after the last `####` or `answer is`, else on that line, else at all.
    """
    text = text.replace("$", "").replace("\N{MINUS SIGN}", "-")
    line = _first_line(_LEAD.split(text)[-1])
    for part in (_SENTENCE_END.split(line)[0], line, text):
        if found := _NUMBER.findall(part):
            return str(found[-1]).replace(",", "")
    return ""


def short_answer(text: str) -> str:
    """Return the rest of the line after the last `answer is`, else the first line, without quotes, emphasis and a full stop around it."""
    return _first_line(_LEAD.split(text)[-1]).strip(" .:*\"'`")


def _first_line(text: str) -> str:
    return text.lstrip(": *\n\t\r").partition("\n")[0].strip()


def _plain_choice(text: str) -> str:
    plain = " ".join(text.casefold().split())
    choice = _IN_BRACKETS.fullmatch(plain)
    return choice[1] if choice else plain


def _plain_span(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(character for character in text if unicodedata.category(character)[0] not in "PS")
    return " ".join(_ARTICLES.sub(" ", kept).split()) or kept.strip()  # blood of the type A
