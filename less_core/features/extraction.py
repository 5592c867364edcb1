"""From encoded examples to features: a row each, in batches that memory decides. Of gradients here; see also `representation.py`."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from peft import PeftModel
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.errors import OutOfMemoryError
from less_core.features.rows import NO_LABEL, NONFINITE, OK, Features, Rows
from less_core.features.target_gradients import TargetGradients
from less_core.method.adam import Fidelity, adam_update
from less_core.method.products import Products
from less_core.method.projection import Projection, Sketch, has_kernels
from less_core.model.batching import collate, fill_batches
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients, Slot
from less_core.model.losses import ahead

logger = logging.getLogger(__name__)

Gradient = Literal["adam", "sgd", "sign"]
Progress = Callable[[int, int], None]  # examples and tokens done since the last call

TINY = 1e-12  # a norm of zero is divided by this instead


class Extractor(ABC):
    """Computes rows of numbers, of one or several kinds at once, and the loss of each example, on a device.

    Args:
        widths: Numbers in a row, of each kind.
        device: Where.
    """

    def __init__(self, widths: Sequence[int], device: torch.device) -> None:
        self._widths = list(widths)
        self._device = device

    @abstractmethod
    def compute(self, input_ids: Tensor, labels: Tensor, lengths: Tensor) -> tuple[list[Rows], Tensor]:
        """Return rows of each kind and losses float32 [batch] of a batch as `collate` makes it, of `lengths` [batch] tokens each."""

    def extract(self, examples: Sequence[EncodedExample], batch_tokens: int, progress: Progress | None = None) -> list[Features]:
        """Return the features of all examples, of each kind, whatever the batches.

        Args:
            examples: In any order; those without a label are flagged and cost nothing.
            batch_tokens: Padded tokens a batch. Halved, for the rest, each time memory runs out.
            progress: Told of every batch.

        Raises:
            OutOfMemoryError: One example alone does not fit.
        """
        # Kept where they are made, so that no batch is waited for.
        features = [torch.zeros(len(examples), width, device=self._device) for width in self._widths]
        norms = torch.zeros(len(self._widths), len(examples), device=self._device)
        losses = torch.zeros(len(examples), device=self._device)
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
                kinds, of_batch = result
                into = ahead(torch.tensor(places), self._device)
                losses.index_copy_(0, into, of_batch)
                for number, rows in enumerate(kinds):
                    norms[number].index_copy_(0, into, rows.norms)
                    features[number].index_copy_(0, into, rows.values.div_(rows.norms.clamp_min(TINY)[:, None]))
                done.update(places)
                if progress:
                    progress(len(chosen), sum(len(e.input_ids) for e in chosen))
            todo = [i for i in todo if i not in done]
        return [self._flagged(examples, of_kind, norms[kind], losses, status) for kind, of_kind in enumerate(features)]

    def _flagged(
        self, examples: Sequence[EncodedExample], features: Tensor, norms: Tensor, losses: Tensor, status: Sequence[str]
    ) -> Features:
        features, norms, losses = features.cpu(), norms.cpu(), losses.cpu()
        finite = torch.isfinite(norms) & torch.isfinite(losses) & torch.isfinite(features).all(dim=1)
        features[~finite] = 0
        return Features(
            example_ids=[e.example_id for e in examples],
            features=features,
            norms=norms,
            losses=losses,
            num_tokens=[len(e.input_ids) for e in examples],
            num_label_tokens=[e.num_label_tokens for e in examples],
            status=[s if finite[i] else NONFINITE for i, s in enumerate(status)],
        )

    def _try(self, examples: Sequence[EncodedExample]) -> tuple[list[Rows], Tensor] | None:
        """Return rows of each kind and losses [batch], or None where memory ran out."""
        try:
            batch = collate(examples)
            lengths = torch.tensor([len(e.input_ids) for e in examples])
            return self.compute(ahead(batch["input_ids"], self._device), batch["labels"], ahead(lengths, self._device))
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

    With target gradients, the update's inner products with them and its norm are taken too, exactly, while it is in memory. Kinds of rows:
    the projection's, where there is one, then one for each of `targets`.

    Args:
        model: In evaluation mode, on its device.
        gradient: adam, sgd or sign.
        fidelity: Which of Adam's two forms.
        adam: The checkpoint's moments; used for `adam` only.
        projection: On the model's device; None for exact products only.
        targets: Gradients of some targets' subtasks, on the model's device.
    """

    def __init__(
        self,
        model: PeftModel,
        *,
        gradient: Gradient,
        fidelity: Fidelity,
        adam: AdamState,
        projection: Projection | None,
        targets: Sequence[TargetGradients] = (),
    ) -> None:
        kept = [projection.dim] if projection else []
        super().__init__([*kept, *(target.subtasks for target in targets)], model.device)
        self._gradients = PerExampleGradients(model)
        self._targets = targets
        self._gradient = gradient
        self._fidelity = fidelity
        self._adam = adam
        self._projection = projection
        self._fused = isinstance(projection, Sketch) and has_kernels(self._device)
        self._moments = {
            slot.name: (adam.first_moment[slot.name].flatten().to(self._device), adam.second_moment[slot.name].flatten().to(self._device))
            for slot in self._gradients.slots
            if gradient == "adam"
        }

    def compute(self, input_ids: Tensor, labels: Tensor, lengths: Tensor) -> tuple[list[Rows], Tensor]:
        count = len(input_ids)
        sketches = [torch.zeros(count, self._projection.dim, device=self._device)] if self._projection else []
        products = [Products(count, t.subtasks, self._device, lengths=t is self._targets[0]) for t in self._targets]
        scratch = torch.empty(0 if self._fused else count * self._gradients.largest, device=self._device)

        def consume(slot: Slot, gradient: Tensor) -> None:
            if self._fused:
                self._update_and_sketch(slot, gradient, sketches[0])
                update = gradient
            else:
                update = self._update(slot, gradient, scratch[: gradient.numel()].view_as(gradient))
            for sums, target in zip(products, self._targets, strict=True):
                sums.add(update, target.by_matrix[slot.name])
            if self._projection and not self._fused:
                self._projection.add(sketches[0], update, slot.start)

        losses = self._gradients.run(input_ids, labels, consume)
        kinds = [Rows(sketch, sketch.norm(dim=1)) for sketch in sketches]
        if products:
            exact = products[0].lengths()
            kinds += [Rows(sums.products(), exact) for sums in products]
        return kinds, losses

    def _update_and_sketch(self, slot: Slot, gradient: Tensor, out: Tensor) -> None:
        from less_core.method.kernels import sketch_update

        assert isinstance(self._projection, Sketch)
        sketch_update(
            out,
            gradient,
            self._moments.get(slot.name),
            self._projection.shifts(slot.start, slot.size),
            start=slot.start,
            sign_seed=self._projection.sign_seed,
            kind=self._gradient,
            fidelity=self._fidelity,
            step=self._adam.step,
            beta1=self._adam.beta1,
            beta2=self._adam.beta2,
            keep=bool(self._targets),
        )

    def _update(self, slot: Slot, gradient: Tensor, scratch: Tensor) -> Tensor:
        if self._gradient == "sgd":
            return gradient
        if self._gradient == "sign":
            broken = torch.sub(gradient, gradient, out=scratch)  # 0, or NaN where there is no sign to take
            return gradient.sign_().add_(broken)
        adam = self._adam
        first, second = self._moments[slot.name]
        return adam_update(
            gradient, first, second, step=adam.step, beta1=adam.beta1, beta2=adam.beta2, fidelity=self._fidelity, scratch=scratch
        )
