"""From encoded examples to features: a row each, in batches that memory decides. Of gradients here; see also `representation.py`."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from peft import PeftModel
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.errors import OutOfMemoryError
from less_core.method.adam import Fidelity, adam_update
from less_core.method.projection import Projection
from less_core.model.batching import collate, fill_batches
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients, Slot

logger = logging.getLogger(__name__)

Gradient = Literal["adam", "sgd", "sign"]
Progress = Callable[[int, int], None]  # examples and tokens done since the last call

OK, NO_LABEL, NONFINITE = "ok", "no_label", "nonfinite"


@dataclass(frozen=True)
class Features:
    """Features of some examples, in their order. Rows that are not `ok` are zero."""

    example_ids: list[str]
    features: Tensor  # float32 [examples, dim], of norm 1
    norms: Tensor  # float32 [examples], of the projections before they were normalised
    losses: Tensor  # float32 [examples]
    num_tokens: list[int]
    num_label_tokens: list[int]
    status: list[str]


class Extractor(ABC):
    """Computes a row of `dim` numbers and the loss of each example, on a device."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self._dim = dim
        self._device = device

    @abstractmethod
    def compute(self, input_ids: Tensor, labels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows [batch, dim] and losses [batch], float32, of a batch as `collate` makes it, of `lengths` [batch] tokens each."""

    def extract(self, examples: Sequence[EncodedExample], batch_tokens: int, progress: Progress | None = None) -> Features:
        """Return the features of all examples, whatever the batches.

        Args:
            examples: In any order; those without a label are flagged and cost nothing.
            batch_tokens: Padded tokens a batch. Halved, for the rest, each time memory runs out.
            progress: Told of every batch.

        Raises:
            OutOfMemoryError: One example alone does not fit.
        """
        features = torch.zeros(len(examples), self._dim)
        norms, losses = torch.zeros(len(examples)), torch.zeros(len(examples))
        status = [OK if e.num_label_tokens else NO_LABEL for e in examples]
        todo = [i for i, s in enumerate(status) if s == OK]
        while todo:
            done: set[int] = set()
            for batch in fill_batches([len(examples[i].input_ids) for i in todo], batch_tokens):
                places = [todo[b] for b in batch]
                chosen = [examples[i] for i in places]
                result = self._try(chosen)
                if result is None:
                    batch_tokens = self._smaller_budget(chosen, batch_tokens)
                    break
                rows, losses[places] = result
                norms[places] = rows.norm(dim=1)
                features[places] = torch.nn.functional.normalize(rows, dim=1)
                done.update(places)
                if progress:
                    progress(len(chosen), sum(len(e.input_ids) for e in chosen))
            todo = [i for i in todo if i not in done]
        finite = torch.isfinite(norms) & torch.isfinite(losses)
        features[~finite] = 0
        status = [s if finite[i] else NONFINITE for i, s in enumerate(status)]
        return Features(
            example_ids=[e.example_id for e in examples],
            features=features,
            norms=norms,
            losses=losses,
            num_tokens=[len(e.input_ids) for e in examples],
            num_label_tokens=[e.num_label_tokens for e in examples],
            status=status,
        )

    def _try(self, examples: Sequence[EncodedExample]) -> tuple[Tensor, Tensor] | None:
        """Return rows [batch, dim] and losses [batch] on the CPU, or None where memory ran out."""
        try:
            batch = {name: tensor.to(self._device) for name, tensor in collate(examples).items()}
            lengths = torch.tensor([len(e.input_ids) for e in examples], device=self._device)
            rows, losses = self.compute(batch["input_ids"], batch["labels"], lengths)
            return rows.cpu(), losses.cpu()
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                return None
            raise

    def _smaller_budget(self, examples: Sequence[EncodedExample], batch_tokens: int) -> int:
        if len(examples) == 1:
            raise OutOfMemoryError(
                f"features of example {examples[0].example_id}",
                "one example to fit in memory",
                f"{len(examples[0].input_ids)} tokens that do not",
                "Lower features.max_length or use a device with more memory.",
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        halved = min(batch_tokens, sum(len(e.input_ids) for e in examples)) // 2
        logger.warning("out of memory with %d tokens a batch, going on with %d", batch_tokens, halved)
        return halved


class GradientExtractor(Extractor):
    """Computes features of examples at one checkpoint, whose adapter is already in the model: gradient, Adam's update, projection.

    Args:
        model: In evaluation mode, on its device.
        gradient: adam, sgd or sign.
        fidelity: Which of Adam's two forms.
        adam: The checkpoint's moments; used for `adam` only.
        projection: On the model's device.
    """

    def __init__(self, model: PeftModel, *, gradient: Gradient, fidelity: Fidelity, adam: AdamState, projection: Projection) -> None:
        super().__init__(projection.dim, model.device)
        self._gradients = PerExampleGradients(model)
        self._gradient = gradient
        self._fidelity = fidelity
        self._adam = adam
        self._projection = projection
        self._moments = {
            slot.name: tuple(m[slot.name].flatten().to(self._device) for m in (adam.first_moment, adam.second_moment))
            for slot in self._gradients.slots
            if gradient == "adam"
        }

    def compute(self, input_ids: Tensor, labels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        out = torch.zeros(len(input_ids), self._projection.dim, device=self._device)
        scratch = torch.empty(len(input_ids) * self._gradients.largest, device=self._device)

        def consume(slot: Slot, gradient: Tensor) -> None:
            update = self._update(slot, gradient, scratch[: gradient.numel()].view_as(gradient))
            self._projection.add(out, update, slot.start)

        return out, self._gradients.run(input_ids, labels, consume)

    def _update(self, slot: Slot, gradient: Tensor, scratch: Tensor) -> Tensor:
        if self._gradient == "sgd":
            return gradient
        if self._gradient == "sign":
            return gradient.sign_()
        adam = self._adam
        first, second = self._moments[slot.name]
        return adam_update(
            gradient, first, second, step=adam.step, beta1=adam.beta1, beta2=adam.beta2, fidelity=self._fidelity, scratch=scratch
        )
