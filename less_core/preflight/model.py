"""Looking at a model before anything is computed with it."""

from pathlib import Path

import torch

from less_core.data.encoding import Encoder
from less_core.method.projection import make_projection
from less_core.model.loading import load_tokenizer, model_fingerprint, model_folder, pick_device, pick_dtype
from less_core.refs import ModelRef
from less_core.settings.select import SelectSettings


def inspect_model(settings: SelectSettings) -> ModelRef:
    """Find the model, read its tokenizer and take its fingerprint.

    Raises:
        ConfigError: The model, the device or the projection that was asked for is not to be had.
    """
    device = find_device(settings)
    folder = model_folder(settings.model.path).absolute()  # checkpoints name it, and workers that stand elsewhere read it
    encoder = open_encoder(settings, folder)
    return ModelRef(
        folder=str(folder),
        fingerprint=model_fingerprint(folder),
        encoding=encoder.fingerprint,
        template=encoder.template,
        max_length=settings.features.max_length,
        device=device.type,
        dtype=str(pick_dtype(settings.model.dtype, device)).removeprefix("torch."),
        lora=settings.model.lora,
    )


def find_device(settings: SelectSettings) -> torch.device:
    """Return the device of a run; whether the machines of a running cluster have a GPU that is asked for, they know.

    Raises:
        ConfigError: It is not there, or the projection cannot run on it.
    """
    asked = settings.execution.device
    if (
        settings.execution.cluster and asked == "cuda" and settings.features.projection.kind != "fast-jl"
    ):  # whose matrix the GPU here decides
        return torch.device(asked)
    device = pick_device(settings.execution.device)
    make_projection(settings.features.projection.kind, settings.features.projection.dim, 0, device)
    return device


def open_encoder(settings: SelectSettings, folder: Path) -> Encoder:
    """Return the encoder of a run whose model stands in `folder`.

    Raises:
        ConfigError: The folder has no tokenizer that the template can be used with.
    """
    return Encoder(load_tokenizer(folder), settings.model.template, settings.features.max_length)
