"""A sweep's selections: named apart, and arranged so that wide features serve narrow ones."""

from typing import Any

import pytest

from less_core.errors import ConfigError
from less_core.settings.file import parse_settings
from less_core.settings.sweep import sweep_settings

BASE: dict[str, Any] = {
    "name": "s",
    "model": {"path": "m"},
    "pools": [{"name": "p", "path": "p.jsonl"}],
    "targets": [{"name": "t", "path": "t.jsonl"}],
    "features": {"storage": "float16"},
    "influence": {"scoring": "store"},
}


def dims(*variants: str, **sections: Any) -> list[tuple[int, int]]:
    found = sweep_settings(parse_settings(BASE | sections, "test"), variants)
    return [(s.features.projection.dim, s.influence.dim) for s in found]


def test_first_selection_is_the_one_without_changes_and_all_names_differ() -> None:
    config = parse_settings(BASE, "test")
    found = sweep_settings(config, ["features.fidelity=paper", "influence.checkpoints=[1,2] influence.weights=uniform"])
    assert found[0] == config
    assert [s.name for s in found] == ["s", "s-1-features.fidelity-paper", "s-2-influence.checkpoints-1-2-influence.weights-uniform"]
    assert found[1].features.fidelity == "paper"
    assert (found[2].influence.checkpoints, found[2].influence.weights) == ([1, 2], "uniform")


def test_dimensions_that_divide_the_widest_are_scored_out_of_its_features() -> None:
    assert dims("features.projection.dim=1024", "features.projection.dim=131072") == [(131072, 65536), (131072, 1024), (131072, 0)]


def test_dimension_that_does_not_divide_the_widest_has_features_of_its_own() -> None:
    assert dims("features.projection.dim=192", "features.projection.dim=4096") == [(65536, 0), (192, 0), (65536, 4096)]


def test_features_that_are_bits_or_integers_are_not_put_together() -> None:
    assert dims("features.projection.dim=1024", features={"storage": "sign"}) == [(65536, 0), (1024, 0)]


def test_selections_of_other_features_share_none() -> None:
    other = "features.projection.kind=rademacher features.projection.dim=512"
    assert dims(other, "features.fidelity=paper features.projection.dim=1024") == [(65536, 0), (512, 0), (1024, 0)]


def test_long_variants_still_give_names_that_hold_and_differ() -> None:
    long = " ".join(["influence.weights=uniform"] * 8)
    found = sweep_settings(parse_settings(BASE, "test"), [long, long])
    assert len({s.name for s in found}) == 3
    assert max(len(s.name) for s in found) <= 100


def test_variant_that_does_not_hold_is_named() -> None:
    with pytest.raises(ConfigError, match=r"influence\.weights=heavy: expected settings that hold"):
        sweep_settings(parse_settings(BASE, "test"), ["influence.weights=heavy"])


@pytest.mark.parametrize("variant", ["features.projection.dim=1024", "features.storage=int8", "features.projection.kind=rademacher"])
def test_variant_that_exact_scores_do_not_depend_on_is_an_error_that_says_what_to_add(variant: str) -> None:
    with pytest.raises(ConfigError, match=r"settings that change exact scores.*Add influence\.scoring=store"):
        dims(variant, influence={"scoring": "exact"})
    assert dims(f"{variant} influence.scoring=store", influence={"scoring": "exact"})
