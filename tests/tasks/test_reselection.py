"""A selection made again equals one made from nothing with the same warmup, whatever happened to the pool in between."""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import conversation, write_jsonl

from less_core.errors import ConfigError, CorruptArtifactError
from less_core.refs import StageCost
from less_core.settings.select import RewarmSettings
from less_core.storage.formats.selections import read_selected_ids
from less_core.storage.layout import run_of
from less_core.storage.previous_settings import find_selection
from less_core.storage.provenance import best_measured, is_unchanged, read_basis, seconds_from_nothing
from less_core.storage.versions import current_version
from tasks.check import look_at_inputs
from tasks.reselection import find_unchanged

NEVER = RewarmSettings(when="never")
FLOAT32 = {"projection": {"dim": 256}, "max_length": 128, "storage": "float32"}  # so that batches can differ in the last bits only
CLOSE = 2e-6

Step = tuple[str, int]
STEPS = st.tuples(st.sampled_from(["add", "remove", "edit", "shuffle", "new file", "drop file"]), st.integers(0, 2**16))


def change(files: dict[str, list[int]], step: Step, fresh: int) -> None:
    """Change a pool's files in place; numbers stand for examples, `fresh` and above for ones never seen."""
    what, seed = step
    rng = random.Random(seed)
    name = rng.choice(sorted(files))
    rows = files[name]
    place = rng.randrange(len(rows))
    if what == "add":
        rows[place:place] = range(fresh, fresh + rng.randrange(1, 5))
    elif what == "remove" and len(rows) > 3:
        del rows[place : place + 2]
    elif what == "edit":
        rows[place] = fresh
    elif what == "shuffle":
        rng.shuffle(rows)
    elif what == "new file":
        files[f"part-{fresh}.jsonl"] = [fresh, fresh + 1, *rows[:2]]
    elif what == "drop file" and len(files) > 1:
        del files[name]


def write(folder: Path, files: dict[str, list[int]]) -> None:
    for old in folder.glob("*.jsonl"):
        old.unlink()
    for name, rows in files.items():
        write_jsonl(folder / name, [conversation(row) for row in rows])


@pytest.mark.slow
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=5))
def test_any_sequence_of_changes_ends_as_a_run_from_nothing_with_the_same_warmup(make_settings, run_stages, steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = {"part-0.jsonl": list(range(14)), "part-1.jsonl": list(range(14, 26))}
        sections = {"pools": [{"name": "a", "path": str(root / "pool")}], "features": FLOAT32}
        place = {"store": str(root / "store"), "runs": str(root / "runs")}
        write(root / "pool", files)
        first = run_stages(make_settings(**sections, **place))
        for number, step in enumerate(steps):
            change(files, step, fresh=1000 * (number + 1))
            write(root / "pool", files)
            again = run_stages(make_settings(**sections, **place), NEVER)
        folders = [checkpoint.folder for checkpoint in first.checkpoints.checkpoints]
        assert [checkpoint.folder for checkpoint in again.checkpoints.checkpoints] == folders
        anew = run_stages(make_settings(**sections, warmup={"checkpoints": folders}, store=str(root / "other"), runs=str(root / "anew")))
        scores, expected = again.scores(), anew.scores()
        ranked, expected_ranked = (read_selected_ids(result.version.selected_ids("t")) for result in (again, anew))
    assert scores.keys() == expected.keys()
    assert all(abs(scores[e] - expected[e]) <= CLOSE for e in scores)
    # Where two scores are closer than rounding, either order is right.
    assert all(a == b or abs(expected[a] - expected[b]) <= CLOSE for a, b in zip(ranked, expected_ranked, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rewarm", "kept"),
    [
        (RewarmSettings(when="never"), True),
        (RewarmSettings(when="always"), False),
        (RewarmSettings(when="when_pool_grew_by", pool_grew_by=0.5), True),
        (RewarmSettings(when="when_pool_grew_by", pool_grew_by=0.1), False),
    ],
)
def test_warmup_is_kept_or_made_again_as_asked(make_settings, run_stages, tmp_path, rewarm: RewarmSettings, kept: bool) -> None:
    first = run_stages(make_settings())
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(100, 130)])  # 10 more, a fifth of the pool
    second = run_stages(make_settings(), rewarm)
    assert (second.checkpoints.checkpoints == first.checkpoints.checkpoints) == kept
    warmup = read_basis(second.version).warmup
    assert (warmup.trained_for, warmup.pool_examples, warmup.new_examples) == (
        (first.version.name, 50, 10) if kept else (second.version.name, 60, 0)
    )


@pytest.mark.slow
def test_warmup_is_made_again_where_its_settings_or_its_files_are_gone(make_settings, run_stages) -> None:
    run_stages(make_settings())
    other = run_stages(make_settings(warmup={"fraction": 0.3, "epochs": 1, "batch_size": 4, "learning_rate": 1e-3}), NEVER)
    assert "a setting of the warmup, is another" in other.checkpoints.how
    assert len(other.checkpoints.checkpoints) == 1
    for record in Path(make_settings().store).glob("warmups/*/checkpoint-*/checkpoint.json"):
        record.unlink()
    again = run_stages(make_settings(warmup={"fraction": 0.3, "epochs": 1, "batch_size": 4, "learning_rate": 1e-3}), NEVER)
    assert "no longer has whole checkpoints" in again.checkpoints.how


@pytest.mark.slow
@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))])
def test_selection_whose_file_is_damaged_or_gone_is_not_called_unchanged(make_settings, run_stages, how: Callable[[Path], object]) -> None:
    made = run_stages(make_settings())
    inputs = look_at_inputs.fn(made.settings)
    assert find_unchanged.fn(made.settings, inputs, NEVER).version == made.version.name
    how(Path(made.version.selected("t")))
    assert find_unchanged.fn(made.settings, inputs, NEVER) is None


@pytest.mark.parametrize(
    ("what", "unchanged"),
    [
        ("nothing", True),
        ("execution", True),
        ("row", False),
        ("white space", False),
        ("target", False),
        ("file", False),
        ("amount", False),
        ("model", False),
    ],
)
def test_unchanged_means_that_nothing_that_counts_is_another(make_settings, run_stages, tmp_path, what: str, unchanged: bool) -> None:
    write_jsonl(tmp_path / "many" / "one.jsonl", [conversation(i) for i in range(30)])
    sections = {"pools": [{"name": "a", "path": "many"}]}
    first = run_stages(make_settings(**sections))
    if what == "execution":
        sections["execution"] = {"shard_size": 3, "device": "cpu"}
    elif what == "row":
        write_jsonl(tmp_path / "many" / "one.jsonl", [conversation(i) for i in [*range(29), 500]])
    elif what == "white space":  # a selection holds the rows as they stand
        text = (tmp_path / "many" / "one.jsonl").read_text()
        (tmp_path / "many" / "one.jsonl").write_text(text.replace("{", "{ ", 1))
    elif what == "target":
        write_jsonl(tmp_path / "t.jsonl", [conversation(1000)])
    elif what == "file":
        write_jsonl(tmp_path / "many" / "two.jsonl", [conversation(0)])
    elif what == "amount":
        sections["selection"] = {"by": "count", "amount": 6}
    elif what == "model":
        sections["model"] = make_settings().model.model_dump() | {"template": "tulu"}
    settings_ = make_settings(**sections)
    assert is_unchanged(settings_, look_at_inputs.fn(settings_), read_basis(first.version), NEVER) == unchanged


def test_what_changed_is_told_of_pools_targets_settings_and_selections(make_settings, run_stages, tmp_path) -> None:
    first = run_stages(make_settings())
    assert first.changes is None
    rows = list(range(100, 120))
    rows[3:4] = [700]  # an edit
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in [*rows[:-1], 800, 801]])  # the last is gone, two are new
    write_jsonl(tmp_path / "t.jsonl", [conversation(i) for i in range(1000, 1004)])
    told = run_stages(make_settings(selection={"by": "count", "amount": 6}), NEVER).changes
    assert told.before == first.version.name
    assert [(p.name, p.before, p.now, p.added, p.removed, p.edited) for p in told.pools] == [("a", 30, 30, 0, 0, 0), ("b", 20, 21, 1, 0, 2)]
    assert [(t.name, t.what) for t in told.targets] == [("t", "changed")]
    assert ("selection.amount", "5.0", "6.0") in [(s.key, s.before, s.now) for s in told.settings]
    assert told.cost.computed < told.cost.features
    (change,) = told.selections
    assert change.kept + change.came_in == 6
    assert all(move.text for move in change.moved_in)


def test_named_selection_is_found_with_its_settings_and_overrides(make_settings, run_stages) -> None:
    settings_ = make_settings()
    run_stages(settings_)
    assert find_selection("test", settings_.runs, []) == settings_
    assert find_selection("test", settings_.runs, ["selection.amount=7"]).selection.amount == 7
    with pytest.raises(ConfigError, match="selection that was made before"):
        find_selection("nowhere", settings_.runs, [])
    version = current_version(run_of(settings_))
    assert version is not None
    Path(version.basis).write_text("{}")
    with pytest.raises(CorruptArtifactError, match="basis of a selection"):
        find_selection("test", settings_.runs, [])
    made_anew = run_stages(settings_, NEVER)
    assert made_anew.changes is None
    assert find_selection("test", settings_.runs, []) == settings_


def cost(name: str, total: int, computed: int, seconds: float) -> StageCost:
    return StageCost(name=name, unit="examples", total=total, reused=total - computed, computed=computed, seconds=seconds, bytes_written=0)


def test_cost_from_nothing_goes_by_the_run_that_computed_the_most_of_each_stage(make_settings, run_stages) -> None:
    basis = read_basis(run_stages(make_settings()).version)
    whole = basis.model_copy(update={"measured": {"a": cost("a", 100, 100, 50.0)}})
    again = [cost("a", 110, 10, 20.0), cost("b", 5, 0, 1.0)]  # ten examples with the stage's own start: no measure of its speed
    assert seconds_from_nothing(again, whole) == pytest.approx(110 * 0.5 + 1.0)
    assert seconds_from_nothing(again, None) == pytest.approx(110 * 2.0 + 1.0)
    assert best_measured(again, whole)["a"] == whole.measured["a"]


def test_selection_whose_results_were_moved_is_made_again_where_they_are_now(make_settings, run_stages, tmp_path) -> None:
    settings_ = make_settings()
    run_stages(settings_)
    moved = str(tmp_path / "moved")
    shutil.move(settings_.runs, moved)
    assert find_selection("test", moved, []) == settings_.model_copy(update={"runs": moved})
    shutil.move(settings_.store, tmp_path / "store elsewhere")
    with pytest.raises(ConfigError, match=r"--set store=FOLDER"):
        find_selection("test", moved, [])
    elsewhere = find_selection("test", moved, [f"store={tmp_path}/store elsewhere"])
    assert elsewhere.store == f"{tmp_path}/store elsewhere"
