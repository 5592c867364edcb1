"""A file that goes away, or is damaged, while it is looked at: the readers of shards all take it for one that is not there."""

from pathlib import Path

import pyarrow as pa
import pytest

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files import whole
from less_core.storage import sharding
from less_core.storage.damaged import whole_or_none
from less_core.storage.sharding import read_holdings


def read(path: str) -> str:
    if not Path(path).exists():
        raise MissingArtifactError(path, "a file", "nothing there", "Run again.")
    if not (text := Path(path).read_text()):
        raise CorruptArtifactError(path, "a text", "nothing", "Run again.")
    return text


def test_what_is_whole_is_read_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "whole").write_text("text")
    assert whole_or_none(read, str(tmp_path / "whole")) == "text"
    assert whole_or_none(read, str(tmp_path / "gone")) is None


@pytest.mark.parametrize("mend", [True, False])
def test_what_is_damaged_is_none_and_set_aside_where_that_is_asked_for(tmp_path: Path, mend: bool) -> None:
    (tmp_path / "torn").write_text("")
    assert whole_or_none(read, str(tmp_path / "torn"), mend=mend) is None
    assert [path.name for path in tmp_path.iterdir()] == [f"torn{whole.CORRUPT}" if mend else "torn"]


def test_of_a_folder_its_record_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "record").write_text("")
    assert whole_or_none(lambda folder: read(f"{folder}/record"), str(tmp_path), record=str(tmp_path / "record")) is None
    assert [path.name for path in tmp_path.iterdir()] == [f"record{whole.CORRUPT}"]


def test_what_another_run_sets_aside_first_is_none_too(tmp_path: Path) -> None:
    def torn(path: str) -> str:
        Path(path).unlink()
        raise CorruptArtifactError(path, "a text", "nothing", "Run again.")

    (tmp_path / "torn").write_text("")
    assert whole_or_none(torn, str(tmp_path / "torn")) is None


def test_shard_that_goes_away_between_listing_and_reading_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "list_files", lambda folder, end: [f"{folder}/gone.parquet"])
    assert read_holdings(str(tmp_path)).equals(pa.table({"example_id": [], "file": []}, schema=sharding.HOLDINGS))
