"""What a worker process keeps between feature tasks: the base model, and the checkpoint that is in it."""

from pathlib import Path
from threading import Event, Lock

import torch
from peft import PeftModel

from less_core.addresses import projection_seed
from less_core.config import FeatureSettings
from less_core.extraction import Extractor, GradientExtractor, Progress
from less_core.method.projection import make_projection
from less_core.model.adapter import set_adapter
from less_core.model.loading import add_lora, load_base_model
from less_core.refs import CheckpointRef, FeatureKind, ModelRef
from less_core.representation import RepresentationExtractor
from less_core.storage.checkpoints import read_checkpoint


class Stopped(Exception):
    """The stage ended, by a cancellation, a timeout or a failure elsewhere, while this work was going on."""


class Runtime:
    """One base model with one checkpoint's extractor; another checkpoint replaces the adapter, not the base model."""

    def __init__(self) -> None:
        self.lock = Lock()  # to be held while an extractor is used: hooks on a shared model do not mix
        self.progress: Progress | None = None  # told of every batch computed in this process
        self.stop = Event()  # set when work in other threads is to end at its next batch
        self._model_key = ""
        self._model: PeftModel | None = None
        self._extractor_key: tuple[str, ...] = ()
        self._extractor: Extractor | None = None

    def advance(self, examples: int, tokens: int) -> None:
        """Count a batch that is done.

        Raises:
            Stopped: No more is wanted.
        """
        self.go_on()
        if self.progress:
            self.progress(examples, tokens)

    def go_on(self) -> None:
        """Raise `Stopped` if no more is wanted."""
        if self.stop.is_set():
            raise Stopped("the stage was stopped")

    def extractor(self, model: ModelRef, checkpoint: CheckpointRef, settings: FeatureSettings, kind: FeatureKind) -> Extractor:
        """Return the extractor of a kind of features for a checkpoint, loading what is not loaded."""
        key = (model.model_dump_json(), checkpoint.fingerprint, settings.model_dump_json(), kind)
        if key != self._extractor_key or self._extractor is None:
            self._extractor = self._make(model, checkpoint, settings, kind)
            self._extractor_key = key
        return self._extractor

    def _make(self, model: ModelRef, checkpoint: CheckpointRef, settings: FeatureSettings, kind: FeatureKind) -> Extractor:
        lora_model = self._load(model)
        if kind == "rds" or kind == "rds+":
            return RepresentationExtractor(lora_model, kind)
        state = read_checkpoint(checkpoint.folder)
        set_adapter(checkpoint.folder, lora_model, state.adapter)
        seed = projection_seed(settings, checkpoint.fingerprint)
        projection = make_projection(settings.projection.kind, settings.projection.dim, seed, lora_model.device)
        return GradientExtractor(lora_model, gradient=kind, fidelity=settings.fidelity, adam=state.adam, projection=projection)

    def _load(self, model: ModelRef) -> PeftModel:
        key = model.model_dump_json()
        if key != self._model_key or self._model is None:
            self._model = self._extractor = None  # free the old one first
            base = load_base_model(Path(model.folder), getattr(torch, model.dtype), torch.device(model.device))
            self._model, self._model_key = add_lora(base, model.lora).eval(), key
        return self._model


RUNTIME = Runtime()
