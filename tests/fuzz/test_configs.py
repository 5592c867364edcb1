"""Settings, whatever is in their file: valid ones, or an error that names the key; in no time, and nothing in it is run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
import yaml
from counts import Count
from fuzzing import mutations, outcome, texts, tries, values
from hypothesis import given

from less_core.errors import ConfigError
from less_core.settings.compare import CompareSettings
from less_core.settings.file import load_as, load_settings, parse_as, parse_settings
from less_core.settings.select import SelectSettings

MINIMAL: dict[str, Any] = {
    "name": "r",
    "model": {"path": "m"},
    "pools": [{"name": "p", "path": "p.jsonl"}, {"name": "q", "hub": "h/q"}],
    "targets": [{"name": "t", "path": "t.jsonl"}, {"name": "u", "builtin": "mmlu", "data_dir": "d"}],
}
IMPORTED = {"pool": "{name}{checkpoint}", "target": "{name}", "checkpoints": [1, 2], "learning_rates": [0.1, 0.2]}
WHOLE = [
    parse_settings(MINIMAL | more, "test").model_dump()
    for more in (
        {},
        {"imported": IMPORTED, "influence": {"checkpoints": [1, 2]}, "warmup": {"checkpoints": ["a", "b"]}},
        {"execution": {"runner": "ray", "workers": 2}, "influence": {"scoring": "store", "dim": 64}, "features": {"storage": "float32"}},
    )
]
COMPARED = CompareSettings.model_validate({"select": MINIMAL, "evaluation": {"held_out": MINIMAL["targets"]}}).model_dump()
Place = tuple[str | int, ...]
Kind = TypeVar("Kind", SelectSettings, CompareSettings)


def places_in(data: Any, at: Place = ()) -> Iterator[Place]:
    """Yield where each value stands."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from places_in(value, (*at, key))


def having(data: Any, path: Place, value: Any) -> Any:
    """Return the data with another value at a path."""
    if not path:
        return value
    key, *rest = path
    changed = having(data[key] if isinstance(data, list) or key in data else {}, tuple(rest), value)
    return [changed if n == key else item for n, item in enumerate(data)] if isinstance(data, list) else data | {key: changed}


def at(data: Any, path: Place) -> Any:
    for key in path:
        data = data[key]
    return data


huge = [10**400, -(10**5000), 2**31, 2**63, 2**64, 1e308, -1e308, 5e-324, 0, -1, 1.5, float("inf"), float("nan"), "1e3", "0x10"]
shaped = ["s3://user:secret@bucket/x", "../x", "a/b", "{name}", "auto", "merged", [], {}, [[]], {"path": "m"}]
known = ["a", "sgd", "paper", "uniform", "float16", "tokens", "cpu", 64, 512, True, [3]]
likely = st.integers(0, 100) | st.floats(0, 1) | st.sampled_from(known)
odd = likely | likely | values | st.sampled_from(huge) | st.sampled_from(shaped)


def parsed(kind: type[Kind], data: Any, path: Place) -> Kind:
    """Parse settings; an error must name the key, or what it stands in."""
    try:
        return parse_as(kind, data, "c.yaml")
    except ConfigError as error:
        if not any(key in str(error) for key in path[-3:] if isinstance(key, str)):
            raise AssertionError(f"{path} is not named") from error
        raise


def same(read: Any, written: Any) -> bool:
    """Tell whether a setting is what was written, the spelling of numbers aside."""
    if isinstance(written, dict):
        return all(same(read[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same, read, written))
    if isinstance(read, bool):
        return read == (str(written).lower() in ("true", "1", "1.0", "yes", "on", "t", "y"))
    return read == written or (isinstance(read, int | float) and read == float(written))


@given(data=st.sampled_from([*WHOLE, COMPARED]), pick=st.integers(0), value=odd)
@tries(200)
def _set(counts: Counter[str], data: dict[str, Any], pick: int, value: Any) -> None:
    places = list(places_in(data))
    place = places[pick % len(places)]
    kind = CompareSettings if data is COMPARED else SelectSettings
    found = outcome(counts, lambda: parsed(kind, having(data, place, value), place), "c.yaml: expected settings that hold")
    if found is not None:
        assert kind.model_validate(found.model_dump()) == found
        assert kind.model_validate_json(found.model_dump_json()) == found  # as Prefect hands them on
        assert same(at(found.model_dump(), place), value)


def test_settings_with_any_value_at_any_key_hold_it_or_the_error_names_the_key(count: Count) -> None:
    counts: Counter[str] = Counter()
    _set(counts)
    count(**counts)


@given(data=st.sampled_from([*WHOLE, COMPARED]), pick=st.integers(0), key=texts, value=values)
@tries(100)
def _unknown(counts: Counter[str], data: dict[str, Any], pick: int, key: str, value: Any) -> None:
    places = [place for place in [(), *places_in(data)] if isinstance(at(data, place), dict)]
    place = places[pick % len(places)]
    kind = CompareSettings if data is COMPARED else SelectSettings
    named = [key] if key.isprintable() else []
    assert outcome(counts, lambda: parse_as(kind, having(data, (*place, key), value), "c.yaml"), "c.yaml: expected", *named) is None


def test_settings_with_an_unknown_key_are_an_error(count: Count) -> None:
    counts: Counter[str] = Counter()
    _unknown(counts)
    count(**counts)


FILE = yaml.safe_dump(WHOLE[1], allow_unicode=True).encode()
documents = st.recursive(
    texts
    | st.sampled_from(["2024-99-99", "0x", "0b2", "1:99", "!!int x", "!!float x", "!!binary x", "!!timestamp x", "&a", "*a", "~", ".nan"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(sorted(MINIMAL)) | inner, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        )
    ),
    max_leaves=8,
).map(lambda text: text.encode(errors="surrogatepass"))


@given(content=mutations(FILE) | documents | st.binary(max_size=30) | st.sampled_from(["utf-16", "utf-32"]).map(FILE.decode().encode))
@tries(120)
def _loaded(counts: Counter[str], file: Path, content: bytes) -> None:
    file.write_bytes(content)
    for kind in (SelectSettings, CompareSettings):
        outcome(counts, lambda kind=kind: load_as(kind, file), str(file))
    found = outcome(counts, lambda: load_settings(file), str(file))
    if found is not None:
        plain = yaml.safe_load(content.decode())
        assert same(found.model_dump(), plain.get("select", plain))


def test_settings_of_any_bytes_are_those_that_yaml_reads_or_an_error_with_the_file(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _loaded(counts, tmp_path / "c.yaml")
    count(**counts)


ALIASES = ", ".join(["*a{}"] * 9)
BOMBS = {
    "lists of lists": "\n".join(["a0: &a0 [x]", *(f"a{n + 1}: &a{n + 1} [{ALIASES.replace('{}', str(n))}]" for n in range(30))]),
    "a list as a name": "\n".join(
        ["a0: &a0 [x]", *(f"a{n + 1}: &a{n + 1} [{ALIASES.replace('{}', str(n))}]" for n in range(30)), "name: *a30"]
    ),
    "merged keys": "\n".join(["a0: &a0 {x: 1}", *(f"a{n + 1}: &a{n + 1} {{<<: [{ALIASES.replace('{}', str(n))}]}}" for n in range(30))]),
    "a list that holds itself": "name: &a [*a]",
    "a map that holds itself": "pools: &a {name: *a}",
    "deep lists": "name: " + "[" * 20_000,
    "deep lists that end": "name: " + "[" * 5000 + "]" * 5000,
    "deep maps": "{a: " * 5000 + "1" + "}" * 5000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(2000)),
    "many keys": "\n".join(f"k{n}: 1" for n in range(12_000)),
    "a long key": f"{'k' * 1000}: 1",
    "a long text": f"name: {'x' * (1 << 20)}",
    "a number of many digits": f"seed: {'9' * 100_000}",
    "a number of many other digits": f"seed: 0x{'f' * 100_000}",
    "many documents": "--- {}\n" * 10_000,
}


@pytest.mark.timeout(60, method="thread")  # what these stand for has more items than there is memory
@pytest.mark.parametrize("what", BOMBS)
def test_settings_made_to_exhaust_time_or_memory_are_an_error(tmp_path: Path, count: Count, what: str) -> None:
    counts: Counter[str] = Counter()
    file = tmp_path / "c.yaml"
    file.write_text(BOMBS[what])
    assert outcome(counts, lambda: load_settings(file), str(file)) is None
    count(**counts)


TAGS = [
    "!!python/object/apply:os.system ['touch {}']",
    "!!python/object/new:os.system ['touch {}']",
    "!!python/object/apply:subprocess.check_output [['touch', '{}']]",
    "!!python/object:less_core.settings.select.SelectSettings {{name: x}}",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/tuple [1, 2]",
    "!unknown x",
]


@pytest.mark.parametrize("tag", TAGS)
def test_settings_never_run_what_a_tag_asks_for(tmp_path: Path, count: Count, tag: str) -> None:
    counts: Counter[str] = Counter()
    file, ran = tmp_path / "c.yaml", tmp_path / "ran"
    text = tag.format(ran)
    for place in ("name", "pools", "seed"):
        file.write_text(yaml.safe_dump(MINIMAL | {place: "HERE"}).replace("HERE", text))
        assert outcome(counts, lambda: load_settings(file), str(file)) is None
        file.write_text(yaml.safe_dump(MINIMAL))
        assert outcome(counts, lambda place=place: load_settings(file, [f"{place}={text}"]), f"--set {place}=") is None
    assert not ran.exists()
    count(**counts)


keys = st.sampled_from(
    ["name", "seed", "pools.0.name", "pools.9.name", "pools.x", "warmup.epochs", "name.sub", "a..b", ".", "pools." + "9" * 5000]
)


@given(given_=st.lists(st.builds("{}={}".format, keys, texts) | texts, min_size=1, max_size=2))
@tries(100)
def _overridden(counts: Counter[str], file: Path, given_: list[str]) -> None:
    found = outcome(counts, lambda: load_settings(file, given_))
    if found is not None:
        data = found.model_dump()
        key, _, value = given_[-1].partition("=")
        place = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        assert same(at(data, place), yaml.safe_load(value))


def test_settings_overridden_by_any_text_hold_it_or_are_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(MINIMAL))
    _overridden(counts, tmp_path / "c.yaml")
    count(**counts)
