"""Encoding examples: from rows of text to token ids and label masks, a shard at a time."""

from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from less_core.data.encoding import Encoder
from less_core.data.example import Example
from less_core.errors import DataError
from less_core.files.whole import size_of
from less_core.model.loading import load_tokenizer
from less_core.refs import EncodedRef, ExamplesRef, ModelRef
from less_core.settings.select import SelectSettings
from less_core.storage.damaged import whole_or_none
from less_core.storage.formats.examples import count_tokens, read_run_index, verify_example_shard, write_example_shard
from less_core.storage.layout import store_of
from tasks.rows import Rows
from tasks.stage_task import done_as, stage_task


@stage_task("encode {examples.side} · shard {number}/{examples.shards}")
def encode_shard(settings: SelectSettings, model: ModelRef, examples: ExamplesRef, number: int) -> EncodedRef:
    """Encode the examples of shard `number`, counted from 1, unless the store has it whole."""
    index = read_run_index(examples.path, number - 1)
    path = store_of(settings).example_shard(model.encoding, index["shard"][0].as_py())
    ids = index["example_id"].unique()
    ref = EncodedRef(number=number, examples=len(ids), tokens=0, computed=False, bytes_written=0)
    held = whole_or_none(lambda shard: count_tokens(verify_example_shard(shard), ids), path)
    if held is not None:
        return done_as("Cached", ref.model_copy(update={"tokens": held}), "the store has it")
    chosen = _read_examples(Rows(settings, examples.side), index)
    encoder = _encoder(model.folder, model.template, model.max_length, model.encoding)
    encoded = encoder.encode(chosen)
    write_example_shard(path, encoded)
    tokens = sum(len(e.input_ids) for e in encoded if e.num_label_tokens)
    return ref.model_copy(update={"tokens": tokens, "computed": True, "bytes_written": size_of(path)})


def _read_examples(rows: Rows, index: pa.Table) -> list[Example]:
    """Return the index's distinct examples, read again from their files."""
    chosen: dict[str, Example] = {}
    for row in index.to_pylist():
        if row["example_id"] in chosen:
            continue
        example = rows.example(row["pool"], row["file"], row["offset"])
        if example.example_id != row["example_id"]:
            where = f"{row['pool']}, {row['file']}, row {row['index'] + 1}"
            raise DataError(where, "the row that was indexed", "another one", "The file changed during the run; run again.")
        chosen[example.example_id] = example
    return list(chosen.values())


@lru_cache(maxsize=1)
def _encoder(folder: str, template: str, max_length: int, encoding: str) -> Encoder:
    """Keep the tokenizer between shards; `encoding` is its fingerprint, so that another one is never mistaken for it."""
    return Encoder(load_tokenizer(Path(folder)), template, max_length)
