"""Pictures are PNG of a sensible size, show what they should, and survive any name and any shape of data."""

import io
import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from less_core.report.plots import plot_lengths, plot_scores, plot_sources
from less_core.report.summary import Histogram, LengthBin, RunSummary, SourceShare, TargetSummary

pytestmark = pytest.mark.filterwarnings("error")

MakeTarget = Callable[..., TargetSummary]
Plot = Callable[[TargetSummary], bytes]
BLUE, GREY, VERMILION = (0, 114, 178), (185, 192, 200), (213, 94, 0)
each_plot = pytest.mark.parametrize("plot", [plot_scores, plot_sources, plot_lengths])


def image(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def pixels(png: bytes, colour: tuple[int, int, int]) -> int:
    """Count pixels within what a palette of 64 colours may shift."""
    return int((np.abs(np.asarray(image(png), dtype=int) - colour).max(axis=2) <= 6).sum())


def sources(count: int) -> list[SourceShare]:
    return [SourceShare(pool="p", source=f"task {place}", pool_examples=10 + place, selected_examples=place) for place in range(count)]


def lengths(*bins: tuple[int, int, int, float]) -> list[LengthBin]:
    return [LengthBin(low=low, high=high, examples=examples, mean_score=mean, selected=examples // 2) for low, high, examples, mean in bins]


@each_plot
def test_plot_is_png_fit_for_a_page(plot: Plot, target_with: MakeTarget) -> None:
    png = plot(target_with())
    width, height = image(png).size
    assert 900 <= width <= 1_200
    assert 0.4 * width <= height <= 2 * width
    assert len(png) < 60_000


@each_plot
def test_plot_shows_pool_and_selection(plot: Plot, target_with: MakeTarget) -> None:
    png = plot(target_with())
    assert pixels(png, GREY) > 5_000
    assert pixels(png, BLUE) > 1_000


@pytest.mark.slow
@each_plot
def test_plot_is_the_same_again_and_in_threads(plot: Plot, target_with: MakeTarget) -> None:
    targets = [target_with(sources=sources(count), selected=count) for count in (3, 9)] * 4
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(plot, targets))
    assert together == [plot(target) for target in targets[:2]] * 4


def test_sources_survive_hostile_name(hostile: str, summary_of: Callable[[str], RunSummary]) -> None:
    png = plot_sources(summary_of(hostile).targets[0])
    assert image(png).size[0] >= 900
    assert pixels(png, BLUE) > 5_000  # the longest name leaves room for the bars


@each_plot
def test_plot_of_nothing_says_so(plot: Plot, nothing: RunSummary) -> None:
    png = plot(nothing.targets[0])
    assert pixels(png, BLUE) == 0
    assert pixels(png, GREY) < 200  # the soft edges of letters
    assert pixels(png, (255, 255, 255)) < image(png).size[0] * image(png).size[1]


def test_plots_leave_pyplot_alone() -> None:
    code = "import sys, less_core.report.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_show_five_selected_of_a_hundred_thousand(target_with: MakeTarget) -> None:
    scores = Histogram(edges=[0.0, 1.0, 2.0, 3.0], pool=[60_000, 39_995, 5], selected=[0, 0, 5])
    assert pixels(plot_scores(target_with(scored=100_000, selected=5, threshold=2.0, scores=scores)), BLUE) > 5_000


def test_scores_mark_threshold_only_where_something_is_selected(target_with: MakeTarget) -> None:
    assert pixels(plot_scores(target_with()), VERMILION) > 500
    bare = target_with(selected=0, threshold=math.nan, scores=Histogram(edges=[0.0, 1.0], pool=[800], selected=[0]))
    assert pixels(plot_scores(bare), VERMILION) == 0


@pytest.mark.parametrize(
    "scores",
    [
        Histogram(edges=[0.5, 0.5], pool=[7], selected=[7]),
        Histogram(edges=[0.0, 0.0, 0.0], pool=[0, 7], selected=[0, 7]),
        Histogram(edges=[-1e-12, 1e-12], pool=[1], selected=[1]),
        Histogram(edges=[-1e30, 0.0, 1e30], pool=[10**9, 1], selected=[0, 1]),
        Histogram(edges=[1.0, 1.0 + 1e-12, 1.0 + 2e-12], pool=[30, 30], selected=[0, 30]),
    ],
    ids=["one value", "all zero", "tiny", "huge", "close"],
)
def test_scores_show_selection_at_any_spread(scores: Histogram, target_with: MakeTarget) -> None:
    assert pixels(plot_scores(target_with(scores=scores, threshold=scores.edges[0])), BLUE) > 1_000


def test_sources_beyond_twenty_become_one_bar(target_with: MakeTarget) -> None:
    few, twenty, many = (image(plot_sources(target_with(sources=sources(count)))).size for count in (19, 20, 300))
    assert few[1] < twenty[1] == many[1]


def test_sources_do_not_read_names_as_mathtext(target_with: MakeTarget) -> None:
    def named(name: str) -> bytes:
        return plot_sources(target_with(sources=[SourceShare(pool="p", source=name, pool_examples=1, selected_examples=1)]))

    assert named("$xyz$") != named(r"$\mathit{xyz}$")  # as mathtext these two look the same


def test_sources_tell_names_apart_that_the_font_cannot_draw(target_with: MakeTarget) -> None:
    def named(name: str) -> bytes:
        return plot_sources(target_with(sources=[SourceShare(pool="p", source=name, pool_examples=1, selected_examples=1)]))

    assert named("你好") != named("世界")


def test_sources_with_nothing_selected_show_the_pool(target_with: MakeTarget) -> None:
    png = plot_sources(target_with(selected=0, sources=[source.model_copy(update={"selected_examples": 0}) for source in sources(4)]))
    assert pixels(png, GREY) > 5_000


@pytest.mark.parametrize(
    "bins",
    [
        lengths((5, 6, 1, 0.1)),
        lengths((0, 64, 10, 0.1), (64, 128, 0, math.nan), (128, 256, 4, 0.1)),
        lengths(*((16 * place, 16 * place + 16, 1 + place, 0.001 * place) for place in range(64))),
        lengths((0, 2**20, 10**7, 1e-9), (2**20, 2**21, 1, -1e-9)),
    ],
    ids=["one example", "empty bin", "many bins", "large"],
)
def test_lengths_survive_any_bins(bins: list[LengthBin], target_with: MakeTarget) -> None:
    assert pixels(plot_lengths(target_with(lengths=bins)), GREY) > 1_000
