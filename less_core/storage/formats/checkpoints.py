"""Checkpoints on disk: the adapter as peft reads it, Adam's moments, and a record that is written last and so means "whole"."""

import json
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from less_core.errors import CorruptArtifactError
from less_core.files.fingerprint import fingerprint, fingerprint_bytes
from less_core.files.whole import exists, read_bytes, read_json, write_json, write_whole
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.storage.damaged import whole_or_none

ADAPTER_CONFIG, ADAPTER, ADAM, RECORD = "adapter_config.json", "adapter_model.safetensors", "adam_state.safetensors", "checkpoint.json"
_RECORD_KEYS = {"step", "learning_rate", "beta1", "beta2", "adam_step", "adapter", "files"}
_ADDRESS = "address"  # of all else in the record, so that a changed digit is seen
_BASE = "base_model_name_or_path"  # of an adapter's settings: where the model stands on one machine
_MADE_BY = "the warmup"
_DO = "Delete the checkpoint's folder and run again."


def write_checkpoint(folder: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; its record comes last."""
    adam = checkpoint.adam
    moments = {f"first_moment.{name}": tensor for name, tensor in adam.first_moment.items()}
    moments |= {f"second_moment.{name}": tensor for name, tensor in adam.second_moment.items()}
    config = json.dumps(checkpoint.adapter_config, indent=2, sort_keys=True).encode()
    files = {ADAPTER_CONFIG: config, ADAPTER: save(checkpoint.adapter, metadata={"format": "pt"}), ADAM: save(moments)}
    for name, content in files.items():
        with write_whole(f"{folder}/{name}") as file:
            file.write(content)
    record = {
        "step": checkpoint.step,
        "learning_rate": checkpoint.learning_rate,
        "beta1": adam.beta1,
        "beta2": adam.beta2,
        "adam_step": adam.step,
        "adapter": fingerprint({key: value for key, value in checkpoint.adapter_config.items() if key != _BASE}),
        "files": {name: fingerprint_bytes([content]) for name, content in files.items()},
    }
    write_json(f"{folder}/{RECORD}", record | {_ADDRESS: fingerprint(record)})


def read_checkpoint(folder: str) -> Checkpoint:
    """Return a checkpoint, every file verified against the record.

    Raises:
        MissingArtifactError: A file is not there.
        CorruptArtifactError: A file is not what the record says.
    """
    record = _read_record(folder)
    content = {name: _verified(folder, name, address) for name, address in record["files"].items()}
    moments = _tensors(f"{folder}/{ADAM}", content[ADAM])
    return Checkpoint(
        step=record["step"],
        learning_rate=record["learning_rate"],
        adapter_config=json.loads(content[ADAPTER_CONFIG]),
        adapter=_tensors(f"{folder}/{ADAPTER}", content[ADAPTER]),
        adam=AdamState(
            step=record["adam_step"],
            beta1=record["beta1"],
            beta2=record["beta2"],
            first_moment={n.removeprefix("first_moment."): t for n, t in moments.items() if n.startswith("first_moment.")},
            second_moment={n.removeprefix("second_moment."): t for n, t in moments.items() if n.startswith("second_moment.")},
        ),
    )


def is_checkpoint(folder: str) -> bool:
    """Tell whether a folder holds a whole checkpoint of this project."""
    return exists(f"{folder}/{RECORD}")


def is_whole(folder: str) -> bool:
    """Tell whether a folder holds a checkpoint all of which verifies; where not, it counts as not made; see `damaged.py`."""
    return whole_or_none(read_checkpoint, folder, record=f"{folder}/{RECORD}") is not None


def checkpoint_fingerprint(folder: str) -> str:
    """Return the address of a checkpoint's content: weights, moments, learning rate, the adapter's settings."""
    record = _read_record(folder)
    del record["files"][ADAPTER_CONFIG]  # it also says where the base model stands
    return fingerprint(record)


def _read_record(folder: str) -> dict[str, Any]:
    record = read_json(f"{folder}/{RECORD}", made_by=_MADE_BY)
    address = record.pop(_ADDRESS, None) if isinstance(record, dict) else None
    files = record.get("files") if isinstance(record, dict) else None
    if address is None or set(record) != _RECORD_KEYS or not isinstance(files, dict) or set(files) != {ADAPTER_CONFIG, ADAPTER, ADAM}:
        raise CorruptArtifactError(f"{folder}/{RECORD}", f"a record of {sorted(_RECORD_KEYS)}", repr(record)[:200], _DO)
    try:
        found = fingerprint(record)
    except ValueError as error:  # no number
        found = str(error)
    if found != address:
        raise CorruptArtifactError(f"{folder}/{RECORD}", f"content {address}", found, _DO)
    return record


def _verified(folder: str, name: str, address: str) -> bytes:
    content = read_bytes(f"{folder}/{name}", made_by=_MADE_BY)
    found = fingerprint_bytes([content])
    if found != address:
        raise CorruptArtifactError(f"{folder}/{name}", f"content {address}", found, _DO)
    return content


def _tensors(path: str, content: bytes) -> dict[str, Tensor]:
    try:
        return load(content)
    except SafetensorError as error:
        raise CorruptArtifactError(path, "a safetensors file", str(error), _DO) from None
