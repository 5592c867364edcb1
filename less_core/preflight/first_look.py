"""The first look at a run's settings: whether what they name is there. Light: a wrong path is said before torch is imported.

`preflight` checks the rest, with the libraries that it takes.
"""

from less_core.data.rows.paths import CHECK_PATH, find_files
from less_core.errors import ConfigError, DataError
from less_core.files.file_systems import asking, open_address
from less_core.model.place import is_model_folder
from less_core.settings.select import SelectSettings, absolute_path


def check_paths(settings: SelectSettings) -> None:
    """Check that pools, targets, model and checkpoints are where the settings say. What is on the hub is left to later.

    Raises:
        DataError: A pool's or a target's files are not there.
        ConfigError: Anything else is not there.
        StorageError: A file system refuses to say.
    """
    for target in settings.targets:
        if target.path:
            find_files(settings.data_path(target.path))
        elif target.data_dir:
            folder = settings.data_path(target.data_dir)
            if not _exists(folder):
                raise DataError(folder, f"the folder of {target.builtin}", f"nothing at {absolute_path(folder)}", CHECK_PATH)
    for pool in settings.pools:
        if pool.path:
            find_files(settings.data_path(pool.path))
    is_model_folder(settings.model.path)
    for path in settings.warmup.checkpoints:
        if not _exists(path):
            raise ConfigError("warmup.checkpoints", "a folder with a checkpoint", f"nothing at {absolute_path(path)}", CHECK_PATH)


def _exists(path: str) -> bool:
    file_system, inner = open_address(path, path)
    with asking(path):
        return bool(file_system.exists(inner))
