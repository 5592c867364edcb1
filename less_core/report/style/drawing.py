"""What all pictures share: PNG, readable on white, told apart without colour vision.

Figures are made without pyplot, whose global state is not safe in the threads that tasks run in. Colours: Okabe and Ito, "Color Universal
Design" (2008).
"""

import base64
import io
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image

from less_core.data.visible_text import escape, one_line

SELECTED = "#0072b2"
POOL = "#b9c0c8"
MARK = "#d55e00"
INK = "#30363d"
FAINT = "#d8dde3"
_FONT = "DejaVu Sans"  # comes with matplotlib
PLAIN: dict[str, Any] = {"fontfamily": _FONT, "parse_math": False, "usetex": False}

_DPI = 180
_COLOURS = 64
_MAX_LABEL = 26  # characters


def plain_axes(axes: Axes) -> Axes:
    """Leave of an axes' frame and grid no more than reading needs."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=FAINT)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.label.set(color=INK, fontsize=9.5)
    axes.yaxis.label.set(color=INK, fontsize=9.5)
    axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def legend(figure: Figure) -> None:
    """Put the legend above the picture, where nothing is under it."""
    figure.legend(
        loc="outside upper left", ncols=3, frameon=False, fontsize=9, labelcolor=INK, handlelength=1.4, columnspacing=1.4, borderpad=0
    )


def short_label(text: str) -> str:
    """Return a short name that the font can draw; cut in the middle, as names of sources often differ at their end."""
    drawn = "".join(_drawable(one_line(text)))
    if len(drawn) <= _MAX_LABEL:
        return drawn
    tail = _MAX_LABEL // 3
    return f"{drawn[: _MAX_LABEL - tail - 1]}…{drawn[-tail:]}"


def _drawable(text: str) -> Iterable[str]:
    font = get_font(findfont(FontProperties(family=_FONT)))
    return (character if font.get_char_index(ord(character)) else escape(character) for character in text)


def png(figure: Figure) -> bytes:
    """Draw a figure. Equal figures give equal bytes; 64 colours make a quarter of the size, and pages embed many."""
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI, facecolor="white")
    small = io.BytesIO()
    with Image.open(full) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
