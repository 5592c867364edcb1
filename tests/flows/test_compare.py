"""Methods side by side, and sweeps, on a server: what is trained and judged, and what a second run computes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from samples import conversation, write_jsonl

from flows.compare import compare
from flows.sweep import sweep
from less_core.report.comparison.outcomes import ComparisonSummary, method_rows
from less_core.settings.compare import CompareSettings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def config(make_settings, tmp_path: Path) -> CompareSettings:
    select = make_settings(name="tried", warmup={"fraction": 0.3, "epochs": 1, "batch_size": 4, "learning_rate": 1e-3})
    write_jsonl(tmp_path / "held_out.jsonl", [conversation(i) for i in range(1100, 1108)])
    return CompareSettings.model_validate(
        {
            "select": select.model_dump(),
            "methods": ["less", "random"],
            "budgets": [5],
            "seeds": [0, 1],
            "training": {"lora": select.model.lora.model_dump(), "epochs": 1, "learning_rate": 1e-3, "batch_size": 2, "max_length": 128},
            "evaluation": {"held_out": [{"name": "t", "path": "held_out.jsonl"}]},
        }
    )


def written(store: str, what: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(store).glob(what)}


def test_methods_are_tried_over_seeds_and_nothing_is_trained_or_judged_twice(config: CompareSettings) -> None:
    ref = compare(config)
    summary = ComparisonSummary.model_validate(json.loads(Path(ref.record).read_text()))
    rows = {row.label: row for row in method_rows(summary.outcomes, "t")}
    assert {label: len(row.loss.values) for label, row in rows.items()} == {"less 5": 2, "random 5": 2, "whole pool": 2, "untrained": 1}
    assert {label: row.examples for label, row in rows.items()} == {"less 5": 5, "random 5": 5, "whole pool": 50, "untrained": 0}
    assert {row.held_out for row in rows.values()} == {8}
    assert rows["whole pool"].loss.mean < rows["untrained"].loss.mean  # fifty examples of the same words teach something
    assert [agreement.methods for agreement in summary.agreements] == [["less 5", "random 5"]]
    for path in (ref.table, ref.picture):
        assert Path(path).stat().st_size
    with get_client(sync_client=True) as client:
        keys = ["tried-comparison", "tried-outcomes", "tried-outcomes-table", "tried-agreement-t"]
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=keys)))
    assert {artifact.key: artifact.type for artifact in found} == dict(zip(keys, ["markdown", "image", "table", "image"], strict=True))

    trainings, evaluations = (written(config.select.store, what) for what in ("trainings/*/training.json", "evaluations/*.json"))
    assert (len(trainings), len(evaluations)) == (6, 7)
    compare(config.model_copy(update={"methods": ["random", "bm25"]}))
    for before, what in ((trainings, "trainings/*/training.json"), (evaluations, "evaluations/*.json")):
        now = written(config.select.store, what)
        assert {path: now[path] for path in before} == before
        assert len(now) == len(before) + 2  # two seeds of the new method


def test_sweep_over_what_can_be_derived_computes_no_feature_again(make_settings) -> None:
    settings = make_settings(name="swept")
    lines = sweep(settings, ["features.projection.dim=64", "influence.similarity=dot"])
    assert len(lines) == 3  # each of three with each other
    shards = Counter(Path(path).parent.name for path in written(settings.store, "features/*/*.parquet"))
    assert len(shards) == 4  # two checkpoints, pool and target
    assert all("Spearman" in line for line in lines)
