"""The selections of a sweep, arranged so that nothing is computed twice that can be derived."""

import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from less_core.errors import ConfigError
from less_core.files.fingerprint import fingerprint
from less_core.settings.file import apply_overrides, parse_settings
from less_core.settings.select import SelectSettings

_LONGEST = 100  # characters of a name


def sweep_settings(config: SelectSettings, variants: Sequence[str]) -> list[SelectSettings]:
    """Return the settings as they are, and those of each variant, each under a name of its own.

    Where only the dimension of a projection differs, all take the widest features and score with fewer of their dimensions, unless these
    are stored as integers or bits, which cannot be put together.

    Args:
        config: What all have in common.
        variants: Each ``key.sub=value``, or several with spaces between.

    Raises:
        ConfigError: A setting does not hold.
    """
    found = [config]
    for number, variant in enumerate(variants, 1):
        data = config.model_dump(mode="json")
        apply_overrides(data, shlex.split(variant))
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", variant).strip("-")
        data["name"] = f"{config.name}-{number}-{slug}"[:_LONGEST].rstrip("-.")
        found.append(parse_settings(data, where=variant))
        if found[-1].scoring == "exact" and _but_features(found[-1]) == _but_features(config):
            do = "Add influence.scoring=store to the settings that all have in common."
            raise ConfigError(variant, "settings that change exact scores", "a projection or a storage, which they have not", do)
    return _sharing_features(found)


def _but_features(settings: SelectSettings) -> dict[str, Any]:
    """Return all that exact scores depend on."""
    return settings.model_dump(mode="json", exclude={"name": True, "features": {"projection", "storage"}})


def _sharing_features(settings: list[SelectSettings]) -> list[SelectSettings]:
    alike: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(settings):
        if one.method == "less" and not one.imported.pool and one.scoring == "store" and not one.features.rounded:
            alike[fingerprint(_but_dim(one))].append(place)
    shared = list(settings)
    for places in alike.values():
        widest = max(settings[place].features.projection.dim for place in places)
        for place in places:
            shared[place] = _narrowed(settings[place], widest)
    return shared


def _but_dim(settings: SelectSettings) -> dict[str, Any]:
    """Return all that features depend on but their dimension."""
    data = settings.model_dump(mode="json", include={"pools", "targets", "model", "data_dir", "store", "warmup", "features"})
    del data["features"]["projection"]["dim"]
    return data


def _narrowed(settings: SelectSettings, widest: int) -> SelectSettings:
    """Return settings that score with their own dimension out of the widest, where it divides it."""
    dim = settings.features.projection.dim
    if dim == widest or widest % dim:
        return settings
    data = settings.model_dump(mode="json")
    data["features"]["projection"]["dim"] = widest
    data["influence"]["dim"] = data["influence"]["dim"] or dim
    return parse_settings(data, where=settings.name)
