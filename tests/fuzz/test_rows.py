"""Rows of pools, whatever their bytes: the examples that were written, or an error with file and line."""

import json
import os
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import count as numbers
from pathlib import Path
from typing import Any

import datasets
import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counts import FULL, Count
from fuzzing import (
    Line,
    carried,
    conversations,
    good_rows,
    lines,
    mutations,
    outcome,
    pair,
    replaced,
    said,
    strings_in,
    texts,
    tries,
    turns,
)
from hypothesis import given

from less_core.data.encoding import Encoder
from less_core.data.example import Example, Message
from less_core.data.index import PoolIndex, index_pool
from less_core.data.pools import RowSource, open_pool, read_example
from less_core.data.rows.paths import find_files
from less_core.data.rows.shapes import to_example
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings

MANY = 1_000_000 if FULL else 50_000
LONG = 1 << 20  # characters


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")


def pool_of(folder: Path, path: str) -> SelectSettings:
    data = {"name": "r", "model": {"path": "m"}, "data_dir": str(folder), "targets": [{"name": "t", "path": "t.jsonl"}]}
    return parse_settings(data | {"pools": [{"name": "p", "path": path}]}, "test")


def index(folder: Path, path: str, *, skip: bool) -> tuple[PoolIndex, RowSource]:
    source = open_pool(pool_of(folder, path), "p")
    return index_pool("p", source, "auto", skip_bad_rows=skip), source


def examples_of(found: tuple[PoolIndex, RowSource]) -> list[tuple[int, Example]]:
    """Return each indexed row's number and its example, read again; the bytes and the id must be of the same example."""
    table, source = found[0].table.to_pylist(), found[1]
    out = [(row["index"], read_example(source, row["file"], row["offset"], "auto")) for row in table]
    assert [example.example_id for _, example in out] == [row["example_id"] for row in table]
    assert [to_example(json.loads(source.read(row["file"], row["offset"]))) for row in table] == [example for _, example in out]
    return out


BOM = b"\xef\xbb\xbf"


@given(written=st.lists(lines(), max_size=6), bom=st.booleans(), end=st.booleans(), crlf=st.booleans())
@tries(60)
def _written(counts: Counter[str], folder: Path, written: list[Line], bom: bool, end: bool, crlf: bool) -> None:
    joint = b"\r\n" if crlf else b"\n"
    content = BOM * bom + joint.join(line.content for line in written) + joint * end
    (folder / "p.jsonl").write_bytes(content)
    there = [place for place, line in enumerate(written) if (line.content if place or bom else line.content.removeprefix(BOM)).strip()]
    good = [(place, written[place].example) for place in there if written[place].example]
    bad = [place for place in there if not written[place].example]
    found = outcome(counts, lambda: index(folder, "p.jsonl", skip=True), "p.jsonl")
    assert (found is not None) == bool(good)
    if found:
        assert examples_of(found) == good
        assert (found[0].skipped, found[0].rows) == (len(bad), len(there))
        assert all(f"p.jsonl, line {place + 1}: " in text for place, text in zip(bad, found[0].bad_rows, strict=True))
    strict = outcome(counts, lambda: index(folder, "p.jsonl", skip=False), "p.jsonl", *(f"line {place + 1}: " for place in bad[:1]))
    assert (strict is not None) == bool(good and not bad)


def test_rows_are_the_examples_that_were_written_or_an_error_with_file_and_line(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _written(counts, tmp_path)
    count(**counts)


SOME = BOM + b"".join(
    json.dumps(row, ensure_ascii=ascii_only).encode() + end
    for ascii_only, end in ((True, b"\n"), (False, b"\r\n"))
    for row in (
        {"messages": [{"role": "user", "content": "\u00fc\u2028?"}, {"role": "assistant", "content": "a"}], "dataset": "d"},
        {"prompt": "q", "completion": "\U0001f600"},
        {"instruction": "i", "input": "", "output": "o"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "n": [1, 2.5, None]},
    )
)
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"]


def read_plainly(content: bytes) -> list[tuple[int, Any]]:
    """Return what `json` makes of each line that is UTF-8, by its number."""
    found = []
    for place, line in enumerate(content.removeprefix(BOM).split(b"\n")):
        try:
            found.append((place, json.loads(line.decode())))
        except ValueError:
            continue
    return found


@given(content=mutations(SOME) | st.sampled_from(ENCODINGS).map(lambda name: SOME.decode("utf-8-sig").encode(name, "replace")))
@tries(80)
def _mutated(counts: Counter[str], folder: Path, content: bytes) -> None:
    (folder / "p.jsonl").write_bytes(content)
    rows = list(open_pool(pool_of(folder, "p.jsonl"), "p").rows())
    assert repr([(row.index, row.value) for row in rows if not row.fault]) == repr(read_plainly(content))
    found = outcome(counts, lambda: index(folder, "p.jsonl", skip=True), "p.jsonl")
    assert found is None or examples_of(found)
    outcome(counts, lambda: index(folder, "p.jsonl", skip=False), "p.jsonl")


def test_rows_of_changed_bytes_are_what_json_reads_in_them(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _mutated(counts, tmp_path)
    count(**counts)


@given(row=good_rows.flatmap(lambda good: replaced(good[0])), ascii_only=st.booleans())
@tries(60)
def _replaced(counts: Counter[str], folder: Path, row: Any, ascii_only: bool) -> None:
    (folder / "p.jsonl").write_bytes(b"\n" + json.dumps(row, ensure_ascii=ascii_only).encode(errors="surrogatepass"))
    found = outcome(counts, lambda: index(folder, "p.jsonl", skip=False), "p.jsonl, line 2: ")
    if found:
        [(place, example)] = examples_of(found)
        held = strings_in(row)
        assert place == 1
        assert {m.content for m in example.messages} <= {*held, *(f"{a}\n\n{b}" for a in held for b in held)}
        assert any(m.role == "assistant" and m.content.strip() for m in example.messages)


def test_rows_with_a_part_of_another_type_are_examples_of_their_own_text_or_errors(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _replaced(counts, tmp_path)
    count(**counts)


COLUMNS = ["messages", "prompt", "completion", "source", "\ud83d", "x"]
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), carried),
    (pa.large_string(), carried),
    (pa.binary(), st.binary(max_size=4)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.timestamp("us", "UTC"), st.integers(-(2**63) + 1, 2**63 - 1)),
    (pa.decimal128(20, 2), st.decimals(-1000, 1000, places=2)),
    (pa.list_(pa.string()), st.lists(st.none() | carried, max_size=3)),
    (pa.struct([("role", pa.string()), ("content", pa.string())]), st.fixed_dictionaries({"role": said, "content": said})),
    (pa.map_(pa.string(), pa.int32()), st.dictionaries(said, st.integers(0, 9), max_size=2).map(lambda d: list(d.items()))),
    (pa.dictionary(pa.int32(), pa.string()), carried),
]
NAMES = ["messages", "conversations", "prompt", "completion", "source", "x", "\u202e"]
FILES = numbers()  # a name for each: `datasets` knows a file by its name and time


def rows_as_json(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(rows, default=str))


@given(rows=st.lists(st.builds(pair, carried, said, st.just(None), st.just(False)) | conversations, min_size=1, max_size=4))
@tries(10)
def _listed(counts: Counter[str], folder: Path, rows: list[Any]) -> None:
    name = f"{next(FILES)}.json"
    (folder / name).write_text(json.dumps([row for row, _ in rows]))
    found = outcome(counts, lambda: index(folder, name, skip=False), name)
    assert found
    assert examples_of(found) == list(enumerate(example for _, example in rows))


def test_rows_of_a_json_list_are_the_examples_that_were_written(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _listed(counts, tmp_path)
    count(**counts)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Columns of any types under names that are looked at, with nulls, and none or a few rows."""
    rows = draw(st.integers(0, 3))
    columns = {}
    if draw(st.booleans()):
        columns = {name: pa.array([draw(said) for _ in range(rows)], pa.string()) for name in ("prompt", "completion")}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        kind, inner = draw(st.sampled_from(TYPES))
        columns[name] = pa.array([draw(st.none() | inner) for _ in range(rows)], kind)
    return pa.table(columns)


@given(table=tables())
@tries(15)
def _tabled(counts: Counter[str], folder: Path, table: pa.Table) -> None:
    name = f"{next(FILES)}.parquet"
    pq.write_table(table, folder / name)
    found = outcome(counts, lambda: index(folder, name, skip=True), name)
    held = strings_in(table.to_pylist())
    for _, example in examples_of(found) if found else ():
        assert {m.content for m in example.messages} <= set(held)
    outcome(counts, lambda: index(folder, name, skip=False), name)


def test_rows_of_a_parquet_of_any_columns_are_examples_of_its_own_text_or_errors(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _tabled(counts, tmp_path)
    count(**counts)


BYTES = pa.array([b"\xff\xfe", b"ok"]).cast(pa.binary())
ODD_TABLES = {
    "text that is not UTF-8": pa.table({"prompt": pa.Array.from_buffers(pa.string(), 2, BYTES.buffers()), "completion": ["a", "b"]}),
    "a year that Python has not": pa.table({"prompt": ["q"], "completion": ["a"], "x": pa.array([2**62], pa.timestamp("us"))}),
    "no rows": pa.table({"prompt": pa.array([], pa.string()), "completion": pa.array([], pa.string())}),
    "no columns": pa.table({}),
    "nulls": pa.table({"prompt": pa.nulls(2), "completion": pa.nulls(2)}),
    "two columns of one name": pa.Table.from_arrays([pa.array(["q"]), pa.array(["a"])], names=["prompt", "prompt"]),
}


@pytest.mark.parametrize("what", ODD_TABLES)
def test_rows_of_an_odd_parquet_are_an_error_with_its_name_or_examples(tmp_path: Path, count: Count, what: str) -> None:
    counts: Counter[str] = Counter()
    pq.write_table(ODD_TABLES[what], tmp_path / "p.parquet")
    for skip in (True, False):
        found = outcome(counts, lambda skip=skip: index(tmp_path, "p.parquet", skip=skip), "p.parquet")
        assert not found or examples_of(found)
    count(**counts)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """Names in a folder, and what stands there."""
    odd = st.sampled_from(["[a]", "a*", "a?", "{b}", "b c", "~", "%41", "$HOME", "\u202e", "\ud800", "a\nb", "\u00fc"])
    names = st.builds(
        "{}{}{}".format, st.sampled_from(["", "sub/", ".hidden/", "x/y/"]), st.sampled_from("abcd") | odd, st.sampled_from(ENDS)
    )
    return draw(st.dictionaries(names, st.sampled_from(STANDS), min_size=1, max_size=4))


ENDS = [".jsonl", ".jsonl", ".jsonl", ".JSONL", ".ndjson", ".txt", ".jsonl.gz", ""]
STANDS = ["file"] * 8 + ["empty", "link", "link", "dangling", "loop", "folder", "link to folder", "fifo"]
ROW = b'{"prompt": "q", "completion": "a"}\n'


def plant(folder: Path, tree: dict[str, str]) -> None:
    for name, stands in tree.items():
        path = folder / os.fsdecode(name.encode(errors="surrogateescape" if "\ud800" not in name else "surrogatepass"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if stands in ("file", "empty"):
            path.write_bytes(ROW if stands == "file" else b"")
        elif stands == "folder":
            path.mkdir()
        elif stands == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to({"link": folder.parent / "outside.jsonl", "loop": path, "link to folder": "."}.get(stands, "nowhere"))


@given(tree=trees(), at=st.sampled_from(["", "*", "**/*", "*.jsonl"]))
@tries(60)
def _planted(counts: Counter[str], around: Path, tree: dict[str, str], at: str) -> None:
    folder = around / str(next(FILES)) / "data"
    folder.mkdir(parents=True)
    (folder.parent / "outside.jsonl").write_bytes(ROW)
    plant(folder, tree)
    visible = [p for p in folder.rglob("*") if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    wanted = {str(p.relative_to(folder)) for p in visible if p.is_file() and p.suffix.lower() in (".jsonl", ".ndjson")}
    if at in ("*", "*.jsonl"):
        wanted = {name for name in wanted if "/" not in name and (at == "*" or name.endswith(".jsonl"))}
    found = outcome(counts, lambda: find_files(f"{folder}/{at}" if at else str(folder)), "data")
    if found is not None:
        assert set(found) == wanted
        assert at or not any(p.is_symlink() and p.is_dir() for p in visible)  # what stands behind such a link is not found
        assert all(Path(place).samefile(folder / name) for name, place in found.items())
        assert all(list(open_pool(pool_of(folder, name), "p").rows()) or not Path(found[name]).stat().st_size for name in found)
    elif wanted:
        odd = [p for p in visible if not p.name.isprintable() or (p.is_symlink() and not p.is_file()) or p.is_fifo()]
        assert odd, (tree, at)


@pytest.mark.timeout(120)  # a pipe that is opened never ends
def test_files_of_a_folder_are_all_that_hold_rows_or_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _planted(counts, tmp_path)
    count(**counts)


@given(path=texts.filter(lambda text: text and "/" not in text))
@tries(60)
def _asked(counts: Counter[str], folder: Path, path: str) -> None:
    assert outcome(counts, lambda: open_pool(pool_of(folder, path), "p")) is None


def test_rows_at_any_path_that_is_not_there_are_an_error_that_can_be_shown(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _asked(counts, tmp_path)
    count(**counts)


HUGE = {
    "one word": "x" * LONG,
    "many words": "a b\n" * (LONG // 4),
    "combining characters": "e\u0301" * (LONG // 2),
    "escapes": "\u202e\x00" * (LONG // 2),
}


@pytest.mark.parametrize("what", HUGE)
def test_rows_of_a_megabyte_are_read_and_their_errors_are_short(tmp_path: Path, count: Count, what: str) -> None:
    counts: Counter[str] = Counter()
    text = HUGE[what]
    rows = [{"prompt": "q", "completion": text}, {text: text}, {"messages": [{"role": text, "content": "a"}]}, {"source": text}, text]
    for broken in ("", "]"):
        (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + broken + "\n" for row in rows))
        found = outcome(counts, lambda: index(tmp_path, "p.jsonl", skip=True), "p.jsonl")
        assert (found is None) == bool(broken)
        assert not found or examples_of(found) == [(0, Example((Message("user", "q"), Message("assistant", text))))]
        outcome(counts, lambda: index(tmp_path, "p.jsonl", skip=False), "p.jsonl, line 2" if not broken else "p.jsonl, line 1")
    count(**counts)


def in_memory(rows: Iterator[Any]) -> int:
    """Return the bytes that were taken at once while rows were read."""
    tracemalloc.start()
    for _ in rows:
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.slow
def test_rows_of_a_large_file_are_all_there_in_order_and_never_in_memory_at_once(tmp_path: Path, count: Count) -> None:
    with (tmp_path / "p.jsonl").open("w") as file:
        file.writelines(f'{{"prompt": "{n}", "completion": "{"word " * 20}"}}\n' if n % 1000 else "broken\n" for n in range(MANY))
    found, source = index(tmp_path, "p.jsonl", skip=True)
    assert (found.rows, found.skipped, len(found.bad_rows)) == (MANY, MANY // 1000, 20)
    assert found.table["index"].to_pylist() == [n for n in range(MANY) if n % 1000]
    assert len(found.table["example_id"].unique()) == found.table.num_rows
    for row in found.table.slice(
        0,
        MANY,
    ).to_pylist()[:: MANY // 50]:
        assert read_example(source, "p.jsonl", row["offset"], "auto").messages[0].content == str(row["index"])
    assert found.table.nbytes < 150 * MANY
    assert in_memory(source.rows()) < 1 << 20
    count(tried=MANY, results=found.rows - found.skipped, errors=found.skipped)


@given(examples=st.lists(st.builds(Example, turns), min_size=1, max_size=3))
@tries(60)
def _encoded(counts: Counter[str], encoders: list[Encoder], examples: list[Example]) -> None:
    for encoder in encoders:
        found = outcome(counts, lambda encoder=encoder: encoder.encode(examples))
        assert found is not None
        assert [e.example_id for e in found] == [e.example_id for e in examples]
        for example, e in zip(examples, found, strict=True):
            whole = encoder.max_length > 100
            answers = [m.content if encoder.template == "chat" else m.content.strip() for m in example.messages if m.role == "assistant"]
            end = "<|im_end|>\n"
            labelled = encoder.tokenizer.decode([i for i, label in zip(e.input_ids, e.label_mask, strict=True) if label])
            assert len(e.input_ids) <= encoder.max_length
            assert e.truncated or labelled == "".join(answer + end for answer in answers)
            assert not (whole and e.truncated)


def test_rows_are_encoded_with_labels_on_the_answers_alone(tokenizer: Any, count: Count) -> None:
    counts: Counter[str] = Counter()
    _encoded(counts, [Encoder(tokenizer, template, length) for template in ("chat", "tulu") for length in (20, 2000)])
    count(**counts)


@pytest.mark.timeout(60)  # turns that each render all turns before them would take an hour
def test_rows_of_very_many_turns_are_encoded_as_far_as_they_are_kept(tokenizer: Any, count: Count) -> None:
    counts: Counter[str] = Counter()
    said = tuple(Message(role, "a") for role in ("user", "assistant") * 20_000)
    for template in ("chat", "tulu"):
        encoder = Encoder(tokenizer, template, 50)
        found = outcome(counts, lambda encoder=encoder: encoder.encode([Example(said), Example(said[:60])]))
        assert found
        assert (found[0].input_ids, found[0].label_mask) == (found[1].input_ids, found[1].label_mask)
        assert found[0].truncated
    count(**counts)
