"""The place that `model.path` names: a folder, or the hub. Light: a wrong path is said before torch is imported."""

from pathlib import Path

from less_core.errors import ConfigError


def is_model_folder(path: str) -> bool:
    """Tell whether a model is in a folder of this machine; else it is to be fetched from the hub.

    Raises:
        ConfigError: There is no such folder, and it cannot be the name of a model on the hub either.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return True
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        got = f"nothing at {folder.absolute()}"
        raise ConfigError("model.path", "a folder with a model, or a hub name owner/model", got, "Check the path.")
    return False
