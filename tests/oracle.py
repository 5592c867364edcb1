"""A slow literal statement of the method for tests to compare with: batch of one, a dense matrix or none, plain loops, float64 sums."""

from pathlib import Path

import torch
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.data.pools import open_pool
from less_core.data.rows.shapes import to_example
from less_core.data.targets import load_target
from less_core.method.projection import make_projection
from less_core.model.adapter import lora_parameters, set_adapter
from less_core.model.checkpoint import AdamState
from less_core.model.loading import add_lora, load_base_model
from less_core.model.losses import IGNORE
from less_core.storage.addresses import projection_seed
from less_core.storage.formats.checkpoints import read_checkpoint
from tasks.encode import _encoder

EPSILON = 1e-8


def gradient(model, example: EncodedExample) -> Tensor:
    """Autograd's gradient of the model's own loss, all LoRA matrices in order of name, in float64."""
    model.zero_grad()
    ids = torch.tensor([example.input_ids])
    labels = torch.where(torch.tensor([example.label_mask]), ids, IGNORE)
    model(input_ids=ids, labels=labels).loss.backward()
    parameters = lora_parameters(model)
    return torch.cat([parameters[name].grad.flatten() for name in sorted(parameters)]).double()


def update(g: Tensor, adam: AdamState, kind: str, fidelity: str) -> Tensor:
    if kind == "sgd":
        return g
    if kind == "sign":
        return torch.sign(g)
    m = torch.cat([adam.first_moment[name].flatten() for name in sorted(adam.first_moment)]).double()
    v = torch.cat([adam.second_moment[name].flatten() for name in sorted(adam.second_moment)]).double()
    m, v = adam.beta1 * m + (1 - adam.beta1) * g, adam.beta2 * v + (1 - adam.beta2) * g * g
    if fidelity == "less-code":
        return m / torch.sqrt(v + EPSILON)
    t = adam.step + 1
    return (m / (1 - adam.beta1**t)) / (torch.sqrt(v / (1 - adam.beta2**t)) + EPSILON)


def matrix(settings, checkpoint, size: int) -> Tensor:
    """The projection's whole matrix [size, dim]: what it makes of the identity. The identity itself where scores are exact."""
    if settings.scoring != "store":
        return torch.eye(size, dtype=torch.float64)
    kind, dim = settings.features.projection.kind, settings.features.projection.dim
    out = torch.zeros(size, dim)
    make_projection(kind, dim, projection_seed(settings.features, checkpoint.fingerprint), torch.device("cpu")).add(out, torch.eye(size), 0)
    return out.double()


def unit(x: Tensor) -> Tensor:
    return x / torch.linalg.norm(x)


def oracle(settings, model_ref, checkpoints) -> dict[str, float]:
    encoder = _encoder(model_ref.folder, model_ref.template, model_ref.max_length, model_ref.encoding)
    pool = [to_example(row.value) for p in settings.pools for row in open_pool(settings, p.name).rows()]
    target = load_target(settings, settings.target("t"))
    model = add_lora(load_base_model(Path(model_ref.folder), torch.float32, torch.device("cpu")), settings.model.lora).eval()
    total_rate = sum(c.learning_rate for c in checkpoints.checkpoints)
    by_subtask = {e.example_id: dict.fromkeys(target.subtasks, 0.0) for e in pool}
    for checkpoint in checkpoints.checkpoints:
        state = read_checkpoint(checkpoint.folder)
        set_adapter("test", model, state.adapter)
        p = matrix(settings, checkpoint, sum(x.numel() for x in state.adapter.values()))
        raw = [gradient(model, e) @ p for e in encoder.encode(target.examples)]
        for example, encoded in zip(pool, encoder.encode(pool), strict=True):
            f = unit(update(gradient(model, encoded), state.adam, settings.features.gradient, settings.features.fidelity) @ p)
            for subtask in by_subtask[example.example_id]:
                chosen = [s for s, name in zip(raw, target.subtasks, strict=True) if name == subtask]
                if settings.features.fidelity == "less-code":
                    value = sum(f @ unit(s) for s in chosen) / len(chosen)
                else:
                    value = f @ unit(sum(chosen) / len(chosen))
                by_subtask[example.example_id][subtask] += checkpoint.learning_rate / total_rate * float(value)
    return {example_id: max(values.values()) for example_id, values in by_subtask.items()}
