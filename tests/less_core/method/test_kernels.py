"""The Triton kernels against the plain torch statement: on a CPU in Triton's interpreter, on a GPU compiled and at full size."""

import pytest
import torch
from samples import encoded_examples
from torch import Tensor

from less_core import extraction
from less_core.config import LoraSettings
from less_core.extraction import GradientExtractor
from less_core.method.adam import adam_update
from less_core.method.projection import Rademacher, Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora

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
@pytest.mark.parametrize(("dim", "start", "n"), [(64, 0, 64), (64, 40, 300), (192, 100, 90), (192, 190, 500), (1024, 5000, 700)])
@pytest.mark.parametrize("batch", [1, 6])
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
        # A few float32 roundings in the update, and sums of a bin in another order.
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5 * float(kept.abs().max()))
        torch.testing.assert_close(given, kept if keep else gradient, rtol=1e-5, atol=1e-7)


def test_slices_one_after_the_other_are_the_whole() -> None:
    sketch, gradient = Sketch(192, 3, DEVICE), gradients(3, 1000)
    whole, parts = torch.zeros(3, 192, device=DEVICE), torch.zeros(3, 192, device=DEVICE)
    fused(whole, gradient.clone(), sketch, 50, "sgd", "less-code")
    for start, stop in ((0, 130), (130, 500), (500, 1000)):
        fused(parts, gradient[:, start:stop].contiguous(), sketch, 50 + start, "sgd", "less-code")
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_nothing_beside_the_slice_is_touched() -> None:
    sketch, n = Sketch(64, 3, DEVICE), 100
    field = torch.full((5, n), torch.nan, device=DEVICE)
    field[1:4] = gradients(3, n)
    beside = torch.full((5, 64), torch.nan, device=DEVICE)
    beside[1:4] = 0.0
    fused(beside[1:4], field[1:4], sketch, 7, "sign", "less-code", keep=True)
    assert torch.isfinite(beside[1:4]).all()
    assert torch.isnan(beside[[0, 4]]).all()
    assert torch.isnan(field[[0, 4]]).all()


def test_a_gradient_that_is_not_finite_spoils_no_other() -> None:
    sketch, gradient = Sketch(64, 3, DEVICE), gradients(3, 100)
    gradient[1, 5] = torch.nan
    out = torch.zeros(3, 64, device=DEVICE)
    fused(out, gradient, sketch, 0, "adam", "less-code")
    assert torch.isfinite(out[[0, 2]]).all()
    assert torch.isnan(out[1]).any()


@pytest.mark.parametrize(("dim", "start", "n", "batch"), [(64, 0, 40, 1), (192, 77, 100, 3), (256, 1000, 33, 40)])
def test_dense_projection_has_the_matrix_of_the_plain_one(dim: int, start: int, n: int, batch: int) -> None:
    plain = Rademacher(dim, 5, DEVICE)
    values = torch.randn(batch, n, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    expected, out = torch.ones(batch, dim, device=DEVICE), torch.ones(batch, dim, device=DEVICE)
    for start_of, stop in ((0, n // 3), (n // 3, n)):
        plain.add(expected, values[:, start_of:stop], start + start_of)
        kernels.rademacher_add(out, values[:, start_of:stop].contiguous(), start=start + start_of, seed=plain.seed)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["sketch", "rademacher"])
def test_compiled_kernels_at_full_size_equal_float64(kind: str) -> None:
    batch, n, dim = 32, 4096 * 128, 8192
    gradient = gradients(batch, n)
    update = plain_update(gradient, "adam", "less-code").double()
    out = torch.zeros(batch, dim, device=DEVICE)
    expected = torch.zeros(batch, dim, device=DEVICE, dtype=torch.float64)
    if kind == "sketch":
        sketch = Sketch(dim, 3, DEVICE)
        fused(out, gradient, sketch, 999, "adam", "less-code")
        sketch.add(expected, update, 999)
    else:
        plain = Rademacher(dim, 3, DEVICE)
        kernels.rademacher_add(out, update.float(), start=999, seed=plain.seed)
        for done in range(0, n, plain.rows):
            piece = update[:, done : done + plain.rows]
            expected += piece @ plain._matrix(999 + done, piece.shape[1]).double()
    assert float((out - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("gradient", ["adam", "sgd", "sign"])
@pytest.mark.parametrize("targets", [0, 3])
def test_extractor_with_kernels_gives_what_it_gives_without(base_models, monkeypatch, gradient: str, targets: int) -> None:
    model = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"])).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.1, generator=generator)
    adam = AdamState(3, 0.9, 0.999, *({name: torch.rand(p.shape) * 1e-4 for name, p in lora_parameters(model).items()} for _ in range(2)))
    rows = [torch.randn(targets, PerExampleGradients(model).size, generator=generator)] if targets else []
    found = []
    for kernels_there in (False, True):
        monkeypatch.setattr(extraction, "has_kernels", lambda device, there=kernels_there: there)
        projection = Sketch(128, 0, torch.device("cpu"))
        extractor = GradientExtractor(model, gradient=gradient, fidelity="paper", adam=adam, projection=projection, targets=rows)
        found.append(extractor.extract(encoded_examples(), 40))
    for plain, fused_ in zip(*found, strict=True):
        torch.testing.assert_close(fused_.features, plain.features, rtol=0, atol=2e-6)
        torch.testing.assert_close(fused_.norms, plain.norms, rtol=1e-5, atol=0)
