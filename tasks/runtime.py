"""What a worker process keeps between feature tasks: the base model, and the checkpoint that is in it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from peft import PeftModel

from less_core.features.extraction import Extractor, GradientExtractor
from less_core.features.hidden_states import RepresentationExtractor
from less_core.features.target_gradients import TargetGradients
from less_core.method.projection import make_projection
from less_core.model.adapter import set_adapter
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora, load_base_model
from less_core.refs import CheckpointRef, FeatureKind, ModelRef
from less_core.settings.select import FeatureSettings
from less_core.storage.addresses import projection_seed
from less_core.storage.formats.checkpoints import read_checkpoint
from tasks.work import WORK

Done = TypeVar("Done")


@dataclass(frozen=True)
class TargetGroup:
    """Parts of targets whose gradients are in memory together."""

    key: str  # differs where the gradients do
    gradients: Callable[[PerExampleGradients], list[TargetGradients]]  # makes them, of each part


class Runtime:
    """One base model with one checkpoint's extractor; another checkpoint replaces the adapter, not the base model."""

    def __init__(self) -> None:
        # One thread for all that a model computes, whichever task asks: hooks on a shared model do not mix, and each further thread would
        # keep the memory of a batch and a team of OpenMP threads of its own.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute")
        self._model_key = ""
        self._model: PeftModel | None = None
        self._extractor_key: tuple[str, ...] = ()
        self._extractor: Extractor | None = None
        self._targets_key = ""
        self._targets: list[TargetGradients] = []

    def __reduce__(self) -> str:
        return "RUNTIME"  # a task that crosses to another process meets the one there

    def compute(self, work: Callable[[], Done]) -> Done:
        """Return what `work` returns, run in the thread of the model, one after the other."""
        return self._thread.submit(copy_context().run, work).result()

    def extractor(
        self,
        model: ModelRef,
        checkpoint: CheckpointRef,
        settings: FeatureSettings,
        kind: FeatureKind,
        *,
        project: bool = True,
        targets: TargetGroup | None = None,
    ) -> Extractor:
        """Return the extractor of a kind of features for a checkpoint, loading what is not loaded.

        Args:
            model: The base model.
            checkpoint: Whose adapter is put into it.
            settings: Of the features.
            kind: Of features.
            project: Whether gradients are projected.
            targets: Whose gradients they are multiplied with.
        """
        key = (
            model.model_dump_json(),
            checkpoint.fingerprint,
            settings.model_dump_json(),
            kind,
            str(project),
            targets.key if targets else "",
        )
        if key != self._extractor_key or self._extractor is None:
            self._extractor = self._make(model, checkpoint, settings, kind, project, targets)
            self._extractor_key = key
        return self._extractor

    def _make(
        self,
        model: ModelRef,
        checkpoint: CheckpointRef,
        settings: FeatureSettings,
        kind: FeatureKind,
        project: bool,
        targets: TargetGroup | None,
    ) -> Extractor:
        lora_model = self._load(model)
        if kind == "rds" or kind == "rds+":
            WORK.loaded()
            return RepresentationExtractor(lora_model, kind)
        self._extractor = None  # its moments take room
        state = read_checkpoint(checkpoint.folder)
        set_adapter(checkpoint.folder, lora_model, state.adapter)
        seed = projection_seed(settings, checkpoint.fingerprint)
        device = lora_model.device
        projection = make_projection(settings.projection.kind, settings.projection.dim, seed, device) if project else None
        WORK.loaded()
        gradients = self._target_gradients(lora_model, f"{self._model_key} {checkpoint.fingerprint}", targets) if targets else ()
        return GradientExtractor(
            lora_model, gradient=kind, fidelity=settings.fidelity, adam=state.adam, projection=projection, targets=gradients
        )

    def _target_gradients(self, model: PeftModel, place: str, targets: TargetGroup) -> list[TargetGradients]:
        key = f"{place} {targets.key}"
        if key != self._targets_key:
            self._targets_key, self._targets = "", []  # free the old ones first
            self._targets = targets.gradients(PerExampleGradients(model))
            self._targets_key = key
        return self._targets

    def _load(self, model: ModelRef) -> PeftModel:
        key = model.model_dump_json()
        if key != self._model_key or self._model is None:
            self._model = self._extractor = None  # free the old one first
            self._targets_key, self._targets = "", []
            base = load_base_model(Path(model.folder), getattr(torch, model.dtype), torch.device(model.device))
            self._model, self._model_key = add_lora(base, model.lora, trained=False).eval(), key
        return self._model


RUNTIME = Runtime()
