"""Pictures of a comparison are PNG that show what they should, and survive any name and any outcome."""

import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
from outcome_samples import LOSSES, make_agreement, make_comparison, make_outcomes
from PIL import Image

from less_core.report.comparison.outcomes import UNTRAINED, WHOLE_POOL, Agreement, Outcome
from less_core.report.comparison.plots import plot_agreement, plot_outcomes

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]

BLUE, GREY, VERMILION = (0, 114, 178), (185, 192, 200), (213, 94, 0)
METHODS = ["less 0.05", "random 0.05", "bm25 0.05"]


def image(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def pixels(png: bytes, colour: tuple[int, int, int]) -> int:
    """Count pixels within what a palette of 64 colours may shift."""
    return int((np.abs(np.asarray(image(png), dtype=int) - colour).max(axis=2) <= 6).sum())


def plot(losses: dict[str, Sequence[float]], *more: Outcome) -> bytes:
    return plot_outcomes(make_comparison([*make_outcomes(losses), *more]))


def without(*methods: str) -> dict[str, Sequence[float]]:
    return {method: losses for method, losses in LOSSES.items() if method not in methods}


def test_outcomes_are_png_fit_for_a_page() -> None:
    png = plot(LOSSES)
    width, height = image(png).size
    assert 800 <= width <= 1_200
    assert 0.3 * width <= height <= width
    assert len(png) < 60_000


def test_outcomes_show_every_seed_less_apart_and_the_reference_that_is_near() -> None:
    png = plot(LOSSES)
    assert pixels(png, GREY) > 500
    assert pixels(png, BLUE) > 200
    assert pixels(png, VERMILION) > 200  # the whole pool; untrained is off the scale
    assert pixels(plot(without("less")), BLUE) == 0
    assert pixels(plot(without(WHOLE_POOL)), VERMILION) == pixels(plot(without(WHOLE_POOL, UNTRAINED)), VERMILION) == 0


def test_outcomes_name_a_reference_that_is_off_the_scale() -> None:
    assert plot(without(WHOLE_POOL)) != plot(without(WHOLE_POOL, UNTRAINED))
    near, far = ({**without(WHOLE_POOL), UNTRAINED: [loss]} for loss in (1.25, 99.0))
    assert pixels(plot(near), VERMILION) > 200
    assert pixels(plot(far), VERMILION) == 0


def test_outcomes_have_a_panel_a_target_and_a_line_a_method() -> None:
    one = image(plot(LOSSES)).size
    two = image(plot(LOSSES, *make_outcomes({"less": [1.0], "random": [1.1]}, target="u"))).size
    more = image(plot(LOSSES | {f"method {place}": [1.2, 1.3] for place in range(6)})).size
    assert two[0] > 1.7 * one[0]
    assert more[1] > 1.5 * one[1]


@pytest.mark.parametrize(
    "losses",
    [
        {method: found[:1] for method, found in LOSSES.items()},
        {"less": [1.2, 1.3]},
        {"less": [1.2]},
        without(WHOLE_POOL, UNTRAINED),
        {method: [1.25, 1.25] for method in LOSSES},
        {method: [0.0] for method in LOSSES},
        {"less": [1e-12, 2e-12], "random": [1e6, 1e7]},
        {"less": [1.0, 1.0 + 1e-13], "random": [1.0, 1.0]},
        {f"method {place}": [1.0, 1.0 + place] for place in range(20)},
    ],
    ids=["one seed", "one method", "one of all", "no reference", "equal", "zero", "far apart", "close", "many"],
)
def test_outcomes_of_any_kind_are_drawn(losses: dict[str, Sequence[float]]) -> None:
    png = plot(losses)
    assert 0 < pixels(png, (255, 255, 255)) < math.prod(image(png).size)
    assert (pixels(png, BLUE) > 0) == ("less" in losses)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_outcomes_of_a_training_that_diverged_are_drawn(loss: float) -> None:
    assert pixels(plot({"less": [1.2], "random": [1.1], "bm25": [loss]}), BLUE) > 50


def test_outcomes_and_agreement_are_the_same_bytes_again() -> None:
    summary = make_comparison()
    assert plot_outcomes(summary) == plot_outcomes(summary.model_copy(deep=True))
    assert plot_agreement(make_agreement(METHODS)) == plot_agreement(make_agreement(METHODS))


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw half as fine, where only room and colours are looked at."""
    monkeypatch.setattr("less_core.report.style.drawing._DPI", 90)


@pytest.fixture(scope="module")
def plain_sizes() -> list[tuple[int, int]]:
    """Of the pictures of two outcomes and of an agreement of four, with plain names, drawn half as fine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("less_core.report.style.drawing._DPI", 90)
        pictures = [plot({"x": [1.0, 1.1], "less": [1.2, 1.3]}), plot_agreement(make_agreement("abcd"))]
    return [image(picture).size for picture in pictures]


@pytest.mark.usefixtures("coarse")
def test_outcomes_survive_hostile_name(hostile: str, plain_sizes: list[tuple[int, int]]) -> None:
    png = plot_outcomes(make_comparison(make_outcomes({hostile: [1.0, 1.1], "less": [1.2, 1.3]}, target=hostile)))
    assert image(png).size == plain_sizes[0]
    assert pixels(png, BLUE) > 30  # the longest name leaves room for the points


@pytest.mark.usefixtures("coarse")
def test_agreement_survives_hostile_name(hostile: str, plain_sizes: list[tuple[int, int]]) -> None:
    names = [hostile, *(f"method {place}" for place in range(3))]
    width, height = image(plot_agreement(make_agreement(names, target=hostile))).size
    assert 300 < height < width < 900  # it grows with the longest label, which is cut to a length


def test_outcomes_do_not_read_names_as_mathtext() -> None:
    assert plot({"$xyz$": [1.0]}) != plot({r"$\mathit{xyz}$": [1.0]})  # as mathtext these two look the same
    assert plot_agreement(make_agreement(["$xyz$", "b"])) != plot_agreement(make_agreement([r"$\mathit{xyz}$", "b"]))


# Agreement


@pytest.mark.parametrize("count", [1, 2, 7])
def test_agreement_of_one_and_of_many_is_drawn_and_grows(count: int) -> None:
    png = plot_agreement(make_agreement([f"method {place}" for place in range(count)]))
    more = plot_agreement(make_agreement([f"method {place}" for place in range(count + 1)]))
    assert image(png).size < image(more).size
    assert pixels(png, (255, 255, 255)) < math.prod(image(png).size)


def coloured(png: bytes) -> int:
    """Count pixels that are no grey: those of the matrix."""
    return int((np.ptp(np.asarray(image(png), dtype=int), axis=2) > 30).sum())


def test_agreement_of_two_long_names_has_room_for_the_matrix() -> None:
    versions = ["instruct-mix@20251122-133705", "instruct-mix@20251115-080000"]
    assert coloured(plot_agreement(make_agreement(versions))) > 0.5 * coloured(plot_agreement(make_agreement("ab")))


@pytest.mark.parametrize("count", [2, 4])
def test_agreement_shows_its_title_to_the_end(count: int) -> None:
    picture = np.asarray(image(plot_agreement(make_agreement([f"method {place}" for place in range(count)]))))
    assert (picture[:50, -3:] == 255).all()


def cells(agreement: Agreement) -> list[list[bool]]:
    """Which cells of the matrix change the picture when their overlap, or their correlation, does."""
    before, places = plot_agreement(agreement), range(len(agreement.methods))

    def changed(row: int, column: int) -> Agreement:
        overlap = [list(values) for values in agreement.overlap]
        correlation = [list(values) for values in agreement.correlation]
        overlap[row][column], correlation[row][column] = 0.99, -0.99
        return agreement.model_copy(update={"overlap": overlap, "correlation": correlation})

    return [[plot_agreement(changed(row, column)) != before for column in places] for row in places]


@pytest.mark.usefixtures("coarse")
def test_agreement_shows_overlap_below_the_diagonal_correlation_above_and_nothing_on_it() -> None:
    agreement = make_agreement(METHODS)
    other = [[0.42] * 3] * 3
    places = range(3)
    below = [[0.42 if row > column else agreement.overlap[row][column] for column in places] for row in places]
    above = [[0.42 if row < column else agreement.correlation[row][column] for column in places] for row in places]
    assert plot_agreement(agreement.model_copy(update={"overlap": other})) == plot_agreement(
        agreement.model_copy(update={"overlap": below})
    )
    whole, half = ({"correlation": values} for values in (other, above))
    assert plot_agreement(agreement.model_copy(update=whole)) == plot_agreement(agreement.model_copy(update=half))
    assert cells(agreement) == [[row != column for column in places] for row in places]


def test_agreement_without_a_correlation_is_not_one_of_zero() -> None:
    agreement = make_agreement(["a", "b"])
    none, zero = ({"correlation": [[None, value], [value, None]]} for value in (None, 0.0))
    assert plot_agreement(agreement.model_copy(update=none)) != plot_agreement(agreement.model_copy(update=zero))
