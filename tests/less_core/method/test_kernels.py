"""The Triton kernels against the plain torch statement: on a CPU in Triton's interpreter, on a GPU compiled and at full size."""

import pytest
import torch
from samples import encoded_examples
from torch import Tensor

from less_core.features import extraction
from less_core.features.extraction import GradientExtractor
from less_core.features.target_gradients import TargetGradients
from less_core.method.adam import adam_update
from less_core.method.products import lay_out
from less_core.method.projection import Rademacher, Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora
from less_core.settings.select import LoraSettings

GPU = torch.cuda.is_available()
kernels = pytest.importorskip("less_core.method.kernels", reason="needs triton")
DEVICE = torch.device("cuda" if GPU else "cpu")

KINDS = [("sgd", "less-code"), ("sign", "less-code"), ("adam", "less-code"), ("adam", "paper")]
STEP, BETA1, BETA2 = 7, 0.9, 0.999


def gradients(batch: int, n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(batch, n, generator=generator) * 10.0 ** torch.randint(-6, 1, (batch, n), generator=generator)
    rows[:, 0] = 0.0
    return rows.to(DEVICE)


def moments(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = 1e-3 * torch.randn(n, generator=generator), 1e-6 * torch.rand(n, generator=generator)
    return first.to(DEVICE), second.to(DEVICE)


def plain_update(gradient: Tensor, kind: str, fidelity: str) -> Tensor:
    if kind == "adam":
        first, second = moments(gradient.shape[1])
        return adam_update(gradient.clone(), first, second, step=STEP, beta1=BETA1, beta2=BETA2, fidelity=fidelity)
    return gradient.sign() if kind == "sign" else gradient.clone()


def fused(out: Tensor, gradient: Tensor, sketch: Sketch, start: int, kind: str, fidelity: str, *, keep: bool = False) -> None:
    kernels.sketch_update(
        out,
        gradient,
        moments(gradient.shape[1]) if kind == "adam" else None,
        sketch.shifts(start, gradient.shape[1]),
        start=start,
        sign_seed=sketch.sign_seed,
        kind=kind,
        fidelity=fidelity,
        step=STEP,
        beta1=BETA1,
        beta2=BETA2,
        keep=keep,
    )


@pytest.mark.parametrize(("kind", "fidelity"), KINDS)
@pytest.mark.parametrize(
    ("dim", "start", "n", "batch"),
    [
        (64, 0, 64, 1),  # a block
        (64, 40, 300, 3),  # from the middle of one to the middle of another
        (192, 100, 50, 17),  # a part of one
        (192, 190, 500, 3),  # bins that do not fill the last program
        (1024, 2**33 + 700, 700, 1),  # a place that needs 64 bits
    ],
)
def test_update_and_sketch_in_one_pass_equal_those_one_after_the_other(
    kind: str, fidelity: str, dim: int, start: int, n: int, batch: int
) -> None:
    sketch = Sketch(dim, 3, DEVICE)
    gradient = gradients(batch, n)
    expected = torch.ones(batch, dim, device=DEVICE)
    update = plain_update(gradient, kind, fidelity)
    kept = update.clone()
    sketch.add(expected, update, start)
    for keep in (False, True):
        out, given = torch.ones(batch, dim, device=DEVICE), gradient.clone()
        fused(out, given, sketch, start, kind, fidelity, keep=keep)
        # Of Adam a few float32 roundings, also where m and g nearly cancel. The others round nothing, and sums have the same order.
        rtol, atol = (1e-5, 1e-7 * float(kept.abs().max())) if kind == "adam" else (0, 0)
        torch.testing.assert_close(given, kept if keep else gradient, rtol=rtol, atol=atol)
        torch.testing.assert_close(out, expected, rtol=rtol, atol=10 * atol)


def test_slices_one_after_the_other_are_the_whole_to_the_bit() -> None:
    sketch, gradient = Sketch(192, 3, DEVICE), gradients(3, 1000)
    whole, parts = torch.zeros(3, 192, device=DEVICE), torch.zeros(3, 192, device=DEVICE)
    fused(whole, gradient.clone(), sketch, 50, "sgd", "less-code")
    for start, stop in ((0, 130), (130, 500), (500, 1000)):
        fused(parts, gradient[:, start:stop].contiguous(), sketch, 50 + start, "sgd", "less-code")
    assert torch.equal(parts, whole)


@pytest.mark.parametrize(("kind", "fidelity"), KINDS)
def test_sketch_of_an_example_does_not_depend_on_its_batch(kind: str, fidelity: str) -> None:
    sketch, gradient = Sketch(192, 3, DEVICE), gradients(6, 500)
    together, alone = torch.zeros(6, 192, device=DEVICE), torch.zeros(1, 192, device=DEVICE)
    fused(together, gradient, sketch, 50, kind, fidelity)
    fused(alone, gradient[5:], sketch, 50, kind, fidelity)
    assert torch.equal(together[5:], alone)


def test_nothing_beside_the_slice_is_touched() -> None:
    sketch, plain, n = Sketch(64, 3, DEVICE), Rademacher(64, 3, DEVICE), 100
    field = torch.full((5, n), torch.nan, device=DEVICE)
    field[1:4] = gradients(3, n)
    beside = torch.full((5, 64), torch.nan, device=DEVICE)
    beside[1:4] = 0.0
    fused(beside[1:4], field[1:4], sketch, 7, "sign", "less-code", keep=True)
    kernels.rademacher_add(beside[1:4], field[1:4], start=7, seed=plain.seed)
    assert torch.isfinite(beside[1:4]).all()
    assert torch.isfinite(field[1:4]).all()
    assert torch.isnan(beside[[0, 4]]).all()
    assert torch.isnan(field[[0, 4]]).all()


# What a CPU makes of 0 / 0 and what a GPU does, which differ in their bits; and infinity.
NOT_FINITE = [0x7FC00000, 0x7FFFFFFF, 0x7F800000, -0x00800000]


@pytest.mark.parametrize("bits", NOT_FINITE)
@pytest.mark.parametrize("kind", ["adam", "sgd", "dense"])
def test_a_gradient_that_is_not_finite_shows_and_spoils_no_other(kind: str, bits: int) -> None:
    sketch, gradient = Sketch(64, 3, DEVICE), gradients(3, 100)
    gradient[1, 5] = torch.tensor(bits, dtype=torch.int32).view(torch.float32)
    out = torch.zeros(3, 64, device=DEVICE)
    if kind == "dense":
        kernels.rademacher_add(out, gradient, start=0, seed=Rademacher(64, 3, DEVICE).seed)
    else:
        fused(out, gradient, sketch, 0, kind, "less-code")
    assert torch.isfinite(out[[0, 2]]).all()
    assert not torch.isfinite(out[1]).all()


DENSE = [
    (64, 0, 40, 1),
    (192, 77, 100, 3),  # bins that do not fill the last program
    (256, 1000, 33, 40),
    (64, 2**33 + 5, 100, 70),  # two tiles of rows, and a place that needs 64 bits
]


@pytest.mark.parametrize(("dim", "start", "n", "batch"), DENSE)
@pytest.mark.parametrize("parts", [1, 2048])
def test_dense_projection_has_the_matrix_of_the_plain_one(
    dim: int, start: int, n: int, batch: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "PARTS", parts)
    plain = Rademacher(dim, 5, DEVICE)
    values = gradients(batch, n)
    expected, out = torch.ones(batch, dim, device=DEVICE), torch.ones(batch, dim, device=DEVICE)
    for start_of, stop in ((0, n // 3), (n // 3, n)):
        piece = values[:, start_of:stop].contiguous()
        expected += (piece.double() @ plain._matrix(start + start_of, stop - start_of).double()).float()
        kernels.rademacher_add(out, piece, start=start + start_of, seed=plain.seed)
    # Sums of a few dozen float32 in another order.
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


def test_dimensions_of_the_paper() -> None:
    dim, start, values = 8192, 8170, gradients(2, 40)  # over the edge of a block
    sketch, plain = Sketch(dim, 3, DEVICE), Rademacher(dim, 3, DEVICE)
    expected, out = torch.zeros(2, dim, device=DEVICE), torch.zeros(2, dim, device=DEVICE)
    fused(out, values, sketch, start, "sgd", "less-code")
    kernels.rademacher_add(out, values, start=start, seed=plain.seed)
    expected += values @ plain._matrix(start, 40)
    sketch.add(expected, values, start)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", [1, 11, 12, 13, 23, 24])
def test_dense_projection_keeps_every_bit_of_a_value(bits: int) -> None:
    value = 1 + 2.0 ** (1 - bits)
    out = torch.zeros(1, 64, device=DEVICE)
    kernels.rademacher_add(out, torch.tensor([[value]], device=DEVICE), start=0, seed=0)
    assert torch.equal(out.abs(), torch.full_like(out, value / 8))


def exact_update(gradient: Tensor, kind: str, fidelity: str) -> Tensor:
    """The update in float64."""
    first, second = (moment.double() for moment in moments(gradient.shape[1]))
    rows = gradient.double()
    if kind == "adam":
        return adam_update(rows, first, second, step=STEP, beta1=BETA1, beta2=BETA2, fidelity=fidelity)
    return rows.sign_() if kind == "sign" else rows


def distance(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


BATCH, SIZE, DIM, START = 32, 4096 * 128, 8192, 5 * 4096 * 128 + 4096  # a large LoRA matrix, from the middle of a block


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize(("kind", "fidelity"), KINDS)
@pytest.mark.parametrize("keep", [False, True])
def test_compiled_sketch_at_full_size_equals_float64(kind: str, fidelity: str, keep: bool) -> None:
    gradient = gradients(BATCH, SIZE)
    update = exact_update(gradient, kind, fidelity)
    sketch, out, given = Sketch(DIM, 3, DEVICE), torch.zeros(BATCH, DIM, device=DEVICE), gradient.clone()
    fused(out, given, sketch, START, kind, fidelity, keep=keep)
    assert distance(given, update if keep else gradient) < 1e-6
    expected = torch.zeros(BATCH, DIM, device=DEVICE, dtype=torch.float64)
    sketch.add(expected, update, START)
    assert distance(out, expected) < 1e-6  # 65 roundings to 6e-8 a bin, and the update's


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize("batch", [1, BATCH, 100])
def test_compiled_dense_projection_at_full_size_equals_float64(batch: int) -> None:
    gradient, plain = gradients(batch, SIZE), Rademacher(DIM, 3, DEVICE)
    out = torch.zeros(batch, DIM, device=DEVICE)
    kernels.rademacher_add(out, gradient, start=START, seed=plain.seed)
    expected = torch.zeros(batch, DIM, device=DEVICE, dtype=torch.float64)
    for done in range(0, SIZE, plain.rows):
        piece = gradient[:, done : done + plain.rows]
        expected += piece.double() @ plain._matrix(START + done, piece.shape[1]).double()
    # Values rounded to tf32 would make it 2e-4.
    assert distance(out, expected) < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["sketch", "dense"])
def test_compiled_kernels_reach_rows_beyond_two_billion_elements(kind: str) -> None:
    batch, n, dim = 34, 2**26, 64 if kind == "dense" else DIM
    gradient = torch.zeros(batch, n, device=DEVICE)  # 9 GB
    gradient[-1] = gradients(1, n)[0]
    together, alone = torch.zeros(batch, dim, device=DEVICE), torch.zeros(1, dim, device=DEVICE)
    for out, rows in ((together, gradient), (alone, gradient[-1:])):
        if kind == "dense":
            kernels.rademacher_add(out, rows, start=0, seed=3)
        else:
            fused(out, rows, Sketch(dim, 3, DEVICE), 0, "sgd", "less-code")
    assert float(alone.norm()) > 1
    torch.testing.assert_close(together[-1:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gradient", ["adam", "sgd", "sign"])
@pytest.mark.parametrize("targets", [0, 3])
def test_extractor_with_kernels_gives_what_it_gives_without(base_models, monkeypatch, gradient: str, targets: int) -> None:
    model = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"])).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.1, generator=generator)
    adam = AdamState(3, 0.9, 0.999, *({name: torch.rand(p.shape) * 1e-4 for name, p in lora_parameters(model).items()} for _ in range(2)))
    slots = PerExampleGradients(model).slots
    rows = {slot.name: lay_out(torch.randn(targets, slot.size, generator=generator)) for slot in slots}
    of_targets = [TargetGradients(targets, rows)] if targets else []
    found = []
    for kernels_there in (False, True):
        monkeypatch.setattr(extraction, "has_kernels", lambda device, there=kernels_there: there)
        projection = Sketch(128, 0, torch.device("cpu"))
        extractor = GradientExtractor(model, gradient=gradient, fidelity="paper", adam=adam, projection=projection, targets=of_targets)
        found.append(extractor.extract(encoded_examples(), 40))
    for plain, fused_ in zip(*found, strict=True):
        torch.testing.assert_close(fused_.features, plain.features, rtol=0, atol=2e-6)
        torch.testing.assert_close(fused_.norms, plain.norms, rtol=1e-5, atol=0)
