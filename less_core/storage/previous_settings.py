"""Finding the settings of a selection that is to be made again."""

from collections.abc import Sequence

from less_core.errors import ConfigError
from less_core.files.whole import exists
from less_core.settings.file import FILES, apply_overrides, load_settings, parse_settings
from less_core.settings.select import SelectSettings, absolute_path
from less_core.storage.layout import Run
from less_core.storage.provenance import read_basis
from less_core.storage.versions import current_version


def find_selection(selection: str, runs: str, overrides: Sequence[str]) -> SelectSettings:
    """Return the settings of a configuration file, or those that the newest version of a named selection was made with.

    Args:
        selection: A name, or a file that ends in .yaml.
        runs: Where the results of named selections are.
        overrides: Settings that differ, each ``key.sub=value``.

    Raises:
        ConfigError: There is no such file or selection, or a setting does not hold.
    """
    if selection.endswith(FILES):
        return load_settings(selection, overrides)
    run = Run(f"{runs.rstrip('/')}/{selection}")
    version = current_version(run)
    if version is None:
        do = "Check the name and `runs`, or name a configuration file; `less-flow run` or the deployment `select` makes a first selection."
        raise ConfigError("selection", f"a selection that was made before in {runs}, or a file ending in .yaml", repr(selection), do)
    settings = read_basis(version).settings
    before = settings.get("runs", runs)
    settings["runs"] = runs  # the folder may have been moved or copied since
    apply_overrides(settings, overrides)
    found = parse_settings(settings, where=selection)
    if absolute_path(before) != absolute_path(runs) and not exists(found.store):
        do = "Say where it is now: --set store=FOLDER."
        raise ConfigError("store", f"the store of {selection}, whose results stood in {before}", f"nothing at {found.store}", do)
    return found
