"""The check of a run's settings before anything heavy: what would fail hours later fails in seconds, with what to do about it."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError, safe_open

from less_core.data.index import parse_row
from less_core.data.pools import open_pool
from less_core.data.rows.paths import find_files
from less_core.data.targets import load_target
from less_core.errors import ConfigError, DataError, StorageError, in_short
from less_core.features.requirements import checkpoint_numbers, count_available, needs_warmup
from less_core.files.file_systems import open_address
from less_core.files.whole import exists, read_bytes, write_whole
from less_core.model.loading import WEIGHTS, check_positions, check_target_modules, model_folder, outline_model
from less_core.preflight.model import find_device, open_encoder
from less_core.settings.select import ExecutionSettings, LoraSettings, PoolSettings, SelectSettings
from less_core.storage.formats.checkpoints import ADAM, ADAPTER, ADAPTER_CONFIG, checkpoint_fingerprint, is_checkpoint
from less_core.storage.layout import run_of, store_of

ROWS_TRIED = 100  # of a pool whose bad rows are skipped, to find one example
PROBE = ".less-flow-probe-"  # begins the name of a file that is written and deleted

# The files of a checkpoint, each by its possible names: ours, and the Trainer's or the LESS scripts'.
OURS = ((ADAPTER_CONFIG,), (ADAPTER,), (ADAM,))
ELSEWHERE = ((ADAPTER_CONFIG,), (ADAPTER, "adapter_model.bin"), ("optimizer.bin", "optimizer.pt"), ("trainer_state.json",))


def check_settings(settings: SelectSettings) -> None:
    """Check that a run can do what its settings ask, in seconds: no weights are loaded, of a pool no more than the first rows are read.

    Data sets on the hub are left alone, and so are a hub model's weights. Nothing is left in the store or the results.

    Raises:
        ConfigError: A folder, the device, the model or a checkpoint is not there, not usable or at odds with a setting.
        DataError: A pool or target cannot be read, or holds no example where one must be.
        CorruptArtifactError: The record of a checkpoint of this project does not hold.
    """
    _check_folder("store", settings.store, store_of(settings).root)
    _check_folder("runs", settings.runs, run_of(settings).root)
    _check_runner(settings.execution)
    find_device(settings)
    _check_model(settings)
    if needs_warmup(settings):
        checkpoint_numbers(settings, count_available(settings))
    for path in settings.warmup.checkpoints:
        _check_checkpoint(path, settings.model.lora)
    for target in settings.targets:
        if not target.hub:
            with _readable(settings.data_path(target.path or target.data_dir)):
                load_target(settings, target)
    for pool in settings.pools:
        if settings.imported.pool and (pool.hub or len(find_files(settings.data_path(pool.path))) > 1):
            do = "Name each of the files that the LESS scripts read as a pool of its own."
            raise ConfigError(f"pool {pool.name}", "one file, as `imported` takes gradients by its rows", pool.path or pool.hub, do)
        if not pool.hub:
            with _readable(settings.data_path(pool.path)):
                _check_pool(settings, pool)


def _check_runner(execution: ExecutionSettings) -> None:
    extra = execution.runner
    if execution.remote and find_spec(f"prefect_{extra}") is None:
        raise ConfigError("execution.runner", f"the package prefect-{extra}", "none installed", f'Do `pip install "less-flow[{extra}]"`.')


def check_space(store: str, needed: int) -> None:
    """Check that the file system of a local store has `needed` bytes free; what is free in a remote one is not known.

    Raises:
        ConfigError: It has fewer.
    """
    where = f"store = {store}"
    file_system, inner = open_address(where, store)
    if not isinstance(file_system, LocalFileSystem):
        return
    free = shutil.disk_usage(_nearest(inner)).free
    if free < needed:
        do = "Free some space, name a store on a larger disk, or lower features.projection.dim."
        raise ConfigError(where, f"{needed / 1e9:,.2f} GB free for the features of this run", f"{free / 1e9:,.2f} GB", do)


def _check_folder(key: str, value: str, folder: str) -> None:
    """Check that files can be written in a folder, or in one that is yet to be made."""
    where, do = f"{key} = {value}", "Name another folder, or see to the right to write there."
    if not value.strip():
        raise ConfigError(key, "a folder or a URL", repr(value), "Name one, or leave the key out.")
    file_system, inner = open_address(where, folder)
    if isinstance(file_system, LocalFileSystem):
        # The folder is not made, so that nothing has to be deleted that another run may be about to use.
        folder = inner = _nearest(inner)
    try:
        is_file = file_system.isfile(inner)
        if not is_file:
            probe = f"{folder}/{PROBE}{uuid.uuid4().hex}"
            with write_whole(probe):
                pass
            file_system.rm(fsspec.core.url_to_fs(probe)[1])
    except Exception as error:  # clients of remote systems raise many kinds
        cause = error.__cause__ if isinstance(error, StorageError) else error
        raise ConfigError(where, "a folder that can be written", in_short(cause), do) from cause
    if is_file:
        raise ConfigError(where, "a folder", f"a file at {inner}", do)


def _nearest(path: str) -> str:
    """Return a local path, or the nearest folder above it that is there."""
    return next(str(place) for place in (Path(path), *Path(path).parents) if os.path.lexists(place))


def _check_model(settings: SelectSettings) -> None:
    folder = model_folder(settings.model.path, weights=False)
    for path in sorted(folder.glob(WEIGHTS)):
        try:
            with safe_open(path, "pt"):  # reads the header and compares it with the file's length
                pass
        except (SafetensorError, OSError) as error:
            raise ConfigError(str(path), "a whole safetensors file", in_short(error), "Fetch or copy the file again.") from error
    outline = outline_model(folder)
    check_target_modules(outline, settings.model.lora)
    check_positions(outline, settings.features.max_length)
    open_encoder(settings, folder)


def _check_checkpoint(path: str, lora: LoraSettings) -> None:
    open_address(f"warmup.checkpoints, {path}", path)
    ours = is_checkpoint(path)
    if not ours and not Path(path).is_dir():
        do = "Check the path. Checkpoints of other tools must be in local folders."
        raise ConfigError("warmup.checkpoints", "a folder with a checkpoint", f"no folder {path}", do)
    for names in OURS if ours else ELSEWHERE:
        if not any(exists(f"{path}/{name}") for name in names):
            do = "Name a folder that this project, the Trainer or the LESS scripts saved, adapter and optimizer."
            raise ConfigError(f"warmup.checkpoints, {path}", " or ".join(names), "no such file", do)
    if ours:
        checkpoint_fingerprint(path)  # reads the record
    _check_adapter(f"{path}/{ADAPTER_CONFIG}", lora)


def _check_adapter(path: str, lora: LoraSettings) -> None:
    try:
        config = dict(json.loads(read_bytes(path, made_by="the training of the checkpoint")))
    except (ValueError, TypeError) as error:
        raise ConfigError(path, "a JSON object", in_short(error), "Name a checkpoint that peft saved.") from error
    do = "Set model.lora as the adapter was trained, or leave this checkpoint out of warmup.checkpoints."
    for key, ours in (("r", lora.rank), ("lora_alpha", lora.alpha)):
        if config.get(key) != ours:
            raise ConfigError(path, f"{key} = {ours:g} as in model.lora", repr(config.get(key)), do)
    modules = config.get("target_modules")
    if isinstance(modules, list):  # else a pattern, which only the model's own names could be held against
        theirs = sorted({str(module).rpartition(".")[2] for module in modules})
        if theirs != sorted(set(lora.target_modules)):
            raise ConfigError(path, f"target_modules = {sorted(set(lora.target_modules))} as in model.lora", str(theirs), do)


def _check_pool(settings: SelectSettings, pool: PoolSettings) -> None:
    source = open_pool(settings, pool.name)
    first = ""
    for row in islice(source.rows(), ROWS_TRIED):
        try:
            parse_row(source, row, pool.format)
        except DataError as error:
            if pool.on_bad_row == "error":
                raise
            first = first or str(error).rstrip(".")
        else:
            return
    got = f"none; the first: {first}" if first else "no rows"
    raise DataError(source.where, f"an example in the first {ROWS_TRIED} rows", got, "Check that this is the right file and its `format`.")


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise DataError(path, "files that can be read", in_short(error), "See to the right to read them.") from error
