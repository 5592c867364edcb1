"""Settings from a YAML file or a mapping: overridden, validated, every fault named."""

import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from less_core.errors import ConfigError
from less_core.settings.select import SelectSettings, Settings, hide_secret

Kind = TypeVar("Kind", bound=Settings)

FILES = (".yaml", ".yml")  # how a configuration file ends
MOST_KEYS = 10_000  # of one mapping
MOST_FAULTS = 20  # that are named


class _Loader(yaml.SafeLoader):
    """Plain values only. Keys that are merged again and again could be more than memory holds."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:
            raise yaml.constructor.ConstructorError(None, None, f"more than {MOST_KEYS} keys", node.start_mark)


class _Short(reprlib.Repr):
    """Values at a glance, without secrets. Aliases make a value that is short in its file endless when it is written out."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(hide_secret(x), level)

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 1000 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxlong = 3, 60, 60


def load_settings(path: str | Path, overrides: Iterable[str] = ()) -> SelectSettings:
    """Read the settings of a selection; as `load_as`. Of a comparison's file, those of the selection that its methods share."""
    data = _read(path)
    return _parse_overridden(SelectSettings, data.get("select", data), path, overrides)


def parse_settings(data: dict[str, Any], where: str) -> SelectSettings:
    """Validate a mapping of the settings of a selection; as `parse_as`."""
    return parse_as(SelectSettings, data, where)


def load_as(kind: type[Kind], path: str | Path, overrides: Iterable[str] = ()) -> Kind:
    """Read a YAML file, apply ``key.sub=value`` overrides (values are YAML; list items by their number), validate.

    Raises:
        ConfigError: The file is not there, is not YAML, or a setting does not hold; names the key.
    """
    return _parse_overridden(kind, _read(path), path, overrides)


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> None:
    """Change settings in place, each as ``key.sub=value``.

    Raises:
        ConfigError: One of them is not of that form, or its key cannot be there.
    """
    for override in overrides:
        _override(data, override)


def parse_as(kind: type[Kind], data: dict[str, Any], where: str) -> Kind:
    """Validate a mapping of settings; every fault is named in one `ConfigError`."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = error.errors()
        faults = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']} (got {_short(e['input'])})" for e in found[:MOST_FAULTS]]
        faults += [f"and {len(found) - MOST_FAULTS} more"] if len(found) > MOST_FAULTS else []
        raise ConfigError(where, "settings that hold", "; ".join(faults), "Correct these keys.") from None


def _short(value: object) -> str:
    text = _SHORT.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _parse(text: str) -> Any:
    """Return what a document says.

    Raises:
        YAMLError: Whatever is wrong with it. PyYAML itself raises others, too: of nesting, of plain values that are none, as a 99th month.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from None


def _override(data: Any, override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}", "key.sub=value", "no '='", "Write for example --set selection.amount=0.1.")
    *parents, last = key.split(".")
    node = data
    for part in parents:
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}  # not there, or a section that stands empty in the file
        node = node[part] if isinstance(node, dict) else _item(node, part, override)
    try:
        parsed = _parse(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}", "a YAML value", value, "Put the value in quotes.") from None
    if isinstance(node, dict):
        node[last] = parsed
    elif isinstance(node, list):
        _item(node, last, override)
        node[int(last)] = parsed
    else:
        raise ConfigError(f"--set {override}", "a key that can hold settings", f"{'.'.join(parents)} = {_short(node)}", "Check the key.")


def _item(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list) and part in map(str, range(len(node))):
        return node[int(part)]
    size = f"{len(node)} items" if isinstance(node, list) else _short(node)
    raise ConfigError(f"--set {override}", f"item {part!r} to be there", size, "Items are counted from 0.")


def _parse_overridden(kind: type[Kind], data: Any, path: str | Path, overrides: Iterable[str]) -> Kind:
    apply_overrides(data, overrides)
    return parse_as(kind, data, where=str(path))


def _read(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # not there, or no text; or a path that no file can have
        raise ConfigError(str(path), "a readable YAML file", str(error), "Check the path.") from None
    try:
        data = _parse(text)
    except yaml.YAMLError as error:
        raise ConfigError(str(path), "YAML", " ".join(str(error).split()), "Mend the file at that place.") from None
    if not isinstance(data, dict):
        raise ConfigError(str(path), "a mapping of settings", type(data).__name__, "See README.md for an example.")
    return data
