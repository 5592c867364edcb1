"""Files of rows as people hand them over: whole, odd and broken."""

import json
import re
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.data.index import index_pool, parse_row
from less_core.data.pools import RowSource, open_pool, open_rows, read_example
from less_core.data.rows.shapes import to_example
from less_core.data.targets import open_target
from less_core.errors import DataError

GOOD = '{"prompt": "q", "completion": "ä"}'
TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")


def jsonl(tmp_path: Path, content: bytes | str, name: str = "pool.jsonl") -> RowSource:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_rows(str(path))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False], ids=["end", "no-end"])
def test_json_lines_give_back_the_exact_bytes_of_each_line(tmp_path: Path, line_end: str, bom: bytes, last: bool) -> None:
    lines = ['{"a":1,  "b": "ü"}', '  {"b": "\\u00fc"} ', '{"c": [1.50, 1e3]}']
    source = jsonl(tmp_path, bom + line_end.join(lines).encode() + (line_end.encode() if last else b""))
    found = list(source.rows())
    assert [row.index for row in found] == [0, 1, 2]
    assert [row.value for row in found] == [json.loads(line) for line in lines]
    assert [source.read(row.file, row.offset) for row in reversed(found)] == [line.encode() for line in reversed(lines)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(), max_size=3), max_size=6), st.booleans())
def test_json_lines_round_trip_any_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], ascii_only: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]  # line separators of Unicode stand inside a line
    source = jsonl(tmp_path_factory.mktemp("rows"), "".join(line + "\n" for line in lines))
    assert [(row.value, source.read(row.file, row.offset).decode()) for row in source.rows()] == list(zip(rows, lines, strict=True))


def test_json_lines_skip_blank_lines_and_count_them(tmp_path: Path) -> None:
    source = jsonl(tmp_path, f"\n{GOOD}\n\n  \r\n{GOOD}\n\n")
    assert [row.index for row in source.rows()] == [1, 4]


FAULTS: list[tuple[bytes, str]] = [
    (b"not json", "'not json' \\(Expecting value"),
    (b'{"prompt": "q", "comp', "Invalid control character"),
    (b'{"prompt": "\xff\xfe"}', "bytes that are not UTF-8"),
    (b"[" * 100_000, "JSON nested too deep"),
    (b'{"a":' * 100_000, "JSON nested too deep"),
    (b'{"a": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
    (GOOD.encode() + b" x", "Extra data"),
    (b"\x00\x01\x02", "got"),
    (b"\x1f\x8b\x08\x00\x00", "got"),
]


@pytest.mark.parametrize(("line", "fault"), FAULTS, ids=[str(i) for i in range(len(FAULTS))])
def test_json_lines_fault_names_file_line_and_reason(tmp_path: Path, line: bytes, fault: str) -> None:
    source = jsonl(tmp_path, GOOD.encode() + b"\n\n" + line + b"\n" + GOOD.encode())
    with pytest.raises(DataError, match=f"pool.jsonl, line 3: .*({fault})") as caught:
        index_pool("p", source, "auto", skip_bad_rows=False)
    assert len(str(caught.value)) < 400
    assert "Mend the line" in str(caught.value)
    skipped = index_pool("p", source, "auto", skip_bad_rows=True)
    assert (skipped.rows, skipped.skipped, skipped.table.num_rows) == (3, 1, 2)


@pytest.mark.parametrize(
    "line", [b"NaN", b"3", b"null", b"[]", b'"text"', b'{"prompt": "\\ud800", "completion": "a"}', b'{"prompt": "q", "completion": null}']
)
def test_json_that_is_no_example_names_file_and_line(tmp_path: Path, line: bytes) -> None:
    source = jsonl(tmp_path, GOOD.encode() + b"\r\n" + line)
    with pytest.raises(DataError, match=r"pool.jsonl, line 2: expected"):
        index_pool("p", source, "auto", skip_bad_rows=False)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40).filter(lambda b: b"\n" not in b and b.strip()))
def test_any_bytes_give_a_row_that_is_an_example_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    source = jsonl(tmp_path_factory.mktemp("rows"), b"\n" + line + b"\n")
    for row in source.rows():
        with pytest.raises(DataError, match="line 2"):
            parse_row(source, row, "auto")


def test_missing_file_folder_and_unknown_ending_are_data_errors(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("pool.csv", "pool.jsonl.gz", "pool", "folder/notes.txt", "folder/.hidden.jsonl"):
        (tmp_path / name).write_text(GOOD)
    for name, message in {
        "nowhere.jsonl": f"expected a file, a folder or a pattern, got nothing at {tmp_path}/nowhere.jsonl. Check the path.",
        "folder": "expected files that end in .jsonl, .ndjson, .json, .parquet, got none",
        "*.txt": "expected files that end in .jsonl, .ndjson, .json, .parquet, got none",
        "pool.csv": "expected a file that ends in .jsonl, .ndjson, .json, .parquet, got .csv",
        "pool.jsonl.gz": "got .gz. Convert or rename the file; unpack compressed files first",
        "pool": "got no ending",
    }.items():
        with pytest.raises(DataError, match=re.escape(name)) as caught:
            open_rows(str(tmp_path / name))
        assert message in str(caught.value)


def test_unknown_protocol_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"nosuch://bucket/pool.jsonl: expected an address that fsspec can open, got .*not known: nosuch"):
        open_rows("nosuch://bucket/pool.jsonl")


def test_ending_may_be_in_capitals_and_ndjson(tmp_path: Path) -> None:
    for name in ("a.JSONL", "a.ndjson"):
        assert len(list(jsonl(tmp_path, GOOD, name).rows())) == 1


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_empty_file_is_a_data_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"pool.jsonl: expected at least one example, got none"):
        index_pool("p", jsonl(tmp_path, content), "auto", skip_bad_rows=True)


def test_file_of_bad_rows_only_is_a_data_error_that_shows_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got 2 rows, all bad; the first: .*line 1"):
        index_pool("p", jsonl(tmp_path, "x\ny\n"), "auto", skip_bad_rows=True)


def test_json_lines_are_read_from_a_url() -> None:
    with fsspec.open("memory://pools/url.jsonl", "wb") as file:
        file.write(f"{GOOD}\n".encode())
    source = open_rows("memory://pools/url.jsonl")
    [row] = source.rows()
    assert source.read(row.file, row.offset).decode() == GOOD


@pytest.fixture(params=["local", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder of three files of rows, one of them below; by path or by URL."""
    root = str(tmp_path / "tree") if request.param == "local" else f"memory://{tmp_path.name}"
    for name, question in {"b.jsonl": "2", "a.jsonl": "1", "deep/c.jsonl": "3", "notes.txt": "x", ".hidden.jsonl": "y"}.items():
        with fsspec.open(f"{root}/{name}", "wt", auto_mkdir=True) as file:
            file.write(json.dumps({"prompt": question, "completion": "a"}) + "\n")
    return root


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("", ["a.jsonl", "b.jsonl", "deep/c.jsonl"]),
        ("/*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("/[b-z]*.jsonl", ["b.jsonl"]),
        ("/**/*.jsonl", ["a.jsonl", "b.jsonl", "deep/c.jsonl"]),
        ("/b.jsonl", ["b.jsonl"]),
    ],
)
def test_folder_and_pattern_give_the_rows_of_their_files_by_name(tree: str, pattern: str, files: list[str]) -> None:
    source = open_rows(tree + pattern)
    rows = list(source.rows())
    assert [row.file for row in rows] == files
    assert [json.loads(source.read(row.file, row.offset)) for row in rows] == [row.value for row in rows]
    assert source.place(rows[-1]).endswith(f"{files[-1]}, line 1")


def test_bad_row_of_one_of_many_files_names_that_file(tree: str) -> None:
    with fsspec.open(f"{tree}/b.jsonl", "wt") as file:
        file.write(f"{GOOD}\nbad\n")
    with pytest.raises(DataError, match=r"b\.jsonl, line 2"):
        index_pool("p", open_rows(tree), "auto", skip_bad_rows=False)


def test_digest_is_of_names_and_content_alone(tree: str, tmp_path: Path) -> None:
    digest = open_rows(tree).digest()
    assert open_rows(tree).digest() == digest
    with fsspec.open(f"{tree}/d.jsonl", "wt") as file:
        file.write(GOOD)
    more = open_rows(tree).digest()
    assert more != digest
    with fsspec.open(f"{tree}/d.jsonl", "wt") as file:
        file.write(GOOD.replace("q", "r"))
    assert open_rows(tree).digest() not in (digest, more)


ROWS: list[dict[str, Any]] = [
    {"messages": TURNS, "prompt": None, "completion": None, "dataset": "d1"},
    {"messages": None, "prompt": "q", "completion": "ä", "dataset": None},
]


def table_file(tmp_path: Path, kind: str) -> str:
    path = tmp_path / f"pool.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_tables_give_rows_in_order_and_again_as_json(tmp_path: Path, kind: str) -> None:
    source = open_rows(table_file(tmp_path, kind))
    found = list(source.rows())
    assert [to_example(row.value) for row in found] == [to_example(row) for row in ROWS]
    for row, original in zip(found, ROWS, strict=True):
        assert to_example(json.loads(source.read(row.file, row.offset))) == to_example(original)
        assert read_example(source, row.file, row.offset, "auto") == to_example(original)
    assert "ä" in source.read(found[1].file, found[1].offset).decode()
    indexed = index_pool("p", source, "auto", skip_bad_rows=False).table.to_pydict()
    assert (indexed["index"], indexed["source"]) == ([0, 1], ["d1", "p"])


@pytest.mark.parametrize("kind", ["parquet", "json"])
@pytest.mark.parametrize("content", [b"", b"neither of both"])
def test_broken_table_is_a_data_error_with_its_name(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / f"pool.{kind}").write_bytes(content)
    with pytest.raises(DataError, match=f"pool.{kind}: expected a data set that `datasets` can load"):
        next(open_rows(str(tmp_path / f"pool.{kind}")).rows())


def test_pool_and_target_of_settings_start_at_the_data_folder(make_settings) -> None:
    settings = make_settings()
    pool, target = open_pool(settings, "b"), open_target(settings, settings.target("t"))
    assert len(list(pool.rows())) == 20
    assert len(list(target.rows())) == 5
    assert pool.where.endswith("/b.jsonl")
