"""Text that is not ours, and numbers, in the Markdown and the table artifacts of Prefect.

Prefect's two interfaces read Markdown differently: one with marked, which also reads the cells of a table artifact and
shows numeric character references undecoded, the other with remark-gfm; both take raw HTML. Text that is not ours is
written in forms that neither acts on and both show alike: see `inline` and `fenced`.
"""

import re

from less_core.data.visible_text import clip, escape, one_line, visible
from less_core.refs import StageCost
from less_core.report.style.wording import MISSING, rate

_EXAMPLE_CHARACTERS = 300
_LABEL_CHARACTERS = 60

_ACTIVE = re.compile(r"[._-](?![A-Za-z0-9])|[\\`*\[\]<>)#+|~&]")
_LINK_STARTS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


def stage_row(stage: StageCost) -> dict[str, str | int | float]:
    """Return a stage as a row of a Prefect table artifact; seconds and bytes are numbers, so that they sort."""
    return {
        "stage": cell(stage.name),
        "total": stage.total,
        "unit": cell(stage.unit),
        "reused": stage.reused,
        "computed": stage.computed,
        "flagged": stage.flagged,
        "seconds": round(stage.seconds, 1),
        "bytes": stage.bytes_written,
        "rate": cell(rate(stage)),
    }


def inline(text: str, limit: int = _LABEL_CHARACTERS) -> str:
    """Return text that shows as itself within a line or a table cell: no markup, tag, link or cell border comes of it.

    Punctuation that can mean something gets a backslash (CommonMark 2.4). That does not stop remark-gfm, which looks for bare
    addresses in the text that is left after parsing: there a zero-width space stands in the way. Dots, dashes and
    underscores before a letter or digit begin no list and end no emphasis, and stay.
    """
    return _ACTIVE.sub(r"\\\g<0>", _unlinked(clip(one_line(text).strip(), limit)))


def named(text: str) -> str:
    """Return a name as Markdown that can be made bold or a link: never without a character to see."""
    return inline(text) or MISSING


def fenced(text: str, limit: int = _EXAMPLE_CHARACTERS) -> str:
    """Return text as a code block, whose fence is longer than any run of backticks in it."""
    shown = clip(visible(text), limit)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def cell(text: str) -> str:
    """Return text for a cell of a table artifact, which is Markdown in one interface and plain in the other: active characters as codes."""
    return _unlinked(one_line(_ACTIVE.sub(lambda match: escape(match.group()), text)))


def table_row(cells: list[str]) -> str:
    """Return a row of a Markdown table, of cells that are Markdown already."""
    return f"| {' | '.join(cells)} |"


def _unlinked(text: str) -> str:
    return _LINK_STARTS.sub(_ZERO_WIDTH_SPACE, text)
