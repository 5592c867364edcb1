"""Scores taken apart: the parts of a score are the score, the nearest target examples are the nearest."""

import json

import pytest
import torch

from flows.cli.explain import print_explanation
from less_core.data.rows.shapes import to_example
from less_core.errors import ConfigError
from less_core.report.score_parts import Why
from less_core.storage.formats.features import read_feature_rows
from less_core.storage.formats.manifest import read_manifest
from tasks.explain import NEAREST, explain, explain_example

pytestmark = pytest.mark.slow


def features_at(version, side: str, checkpoint: str) -> dict[str, torch.Tensor]:
    """All of a side's features at a checkpoint, read plainly."""
    found = {}
    for shard in read_manifest(version.features(side)).files[checkpoint]:
        for path in shard:
            for rows in read_feature_rows(path):
                found |= dict(zip(rows.example_ids.to_pylist(), rows.features.floats(), strict=True))
    return found


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"influence": {"similarity": "dot"}},
        {"influence": {"dim": 64}},
        {"influence": {"scoring": "exact"}},
        {"influence": {"scoring": "exact", "similarity": "dot"}},
        {"influence": {"scoring": "rerank", "shortlist": 0.5}},
        {"method": "rds"},
        {"method": "rds+"},
        {"features": {"fidelity": "paper", "projection": {"dim": 256}, "max_length": 128}},
    ],
    ids=["less", "dot", "narrow", "exact", "exact dot", "rerank", "rds", "rds+", "paper"],
)
def test_contributions_of_the_checkpoints_add_up_to_the_score(make_settings, run_stages, sections) -> None:
    result = run_stages(make_settings(**sections))
    ids = sorted(e for e, score in result.scores().items() if score is not None)[:6]
    for example_id, why in explain(result.settings, result.version, {"t": ids})["t"].items():
        assert why.score == pytest.approx(result.scores()[example_id])
        assert sum(part.share for part in why.contributions) == pytest.approx(why.score, rel=1e-4, abs=1e-5)
        assert [part.checkpoint for part in why.contributions] == [c.name for c in result.checkpoints.checkpoints]


def test_nearest_target_examples_are_those_of_the_highest_weighted_similarity(make_settings, run_stages, tmp_path) -> None:
    result = run_stages(make_settings())
    example_id = max(result.scores(), key=lambda e: result.scores()[e])
    target = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    similarity = torch.zeros(len(target))
    for checkpoint in result.checkpoints.checkpoints:
        pool, of_target = (features_at(result.version, side, checkpoint.fingerprint) for side in ("pool", "target"))
        for place, row in enumerate(target):
            similarity[place] += checkpoint.weight * float(pool[example_id] @ of_target[to_example(row).example_id])
    best = similarity.argsort(descending=True)[:NEAREST].tolist()
    (why,) = explain(result.settings, result.version, {"t": [example_id]})["t"].values()
    assert [neighbour.number for neighbour in why.nearest] == [place + 1 for place in best]
    assert [neighbour.similarity for neighbour in why.nearest] == pytest.approx(similarity[best].tolist(), abs=1e-5)
    assert [neighbour.subtask for neighbour in why.nearest] == [target[place]["subtask"] for place in best]
    assert why.nearest[0].text == " ".join(message["content"] for message in target[best[0]]["messages"])


def test_rank_and_selected_are_those_of_the_selection(make_settings, run_stages) -> None:
    result = run_stages(make_settings())
    scores = result.scores()
    order = sorted(scores, key=lambda e: (-scores[e], e))
    found = explain(result.settings, result.version, {"t": order})["t"]
    assert [found[e].rank for e in order] == list(range(1, len(order) + 1))
    assert [e for e in order if found[e].selected] == order[:5]
    assert {why.scored for why in found.values()} == {len(order)}


def test_example_is_found_by_the_first_digits_of_its_id_and_shown(make_settings, run_stages, capsys) -> None:
    result = run_stages(make_settings())
    example_id = sorted(result.scores())[0]
    found, text, whys = explain_example.fn(result.settings.runs, "test", example_id[:12])
    assert found == example_id
    assert (
        to_example({"messages": [{"role": m.split(":\n")[0], "content": m.split(":\n", 1)[1]} for m in text.split("\n\n")]}).example_id
        == found
    )
    print_explanation(found, text, whys)
    said = capsys.readouterr().out
    assert example_id in said
    assert f"of {len(result.scores())}" in said
    assert "checkpoint-" in said


@pytest.mark.parametrize(("prefix", "got"), [("zzz", "none"), ("", r"\['[0-9a-f]{32}', ")])
def test_digits_that_fit_no_example_or_several_are_an_error(make_settings, run_stages, prefix: str, got: str) -> None:
    result = run_stages(make_settings(method="random"))
    with pytest.raises(ConfigError, match=f"example {prefix}: expected one example of test, got {got}"):
        explain_example.fn(result.settings.runs, "test", prefix)


@pytest.mark.parametrize("method", ["bm25", "random", "perplexity"])
def test_method_without_features_of_both_sides_has_a_score_and_a_rank_alone(make_settings, run_stages, method: str) -> None:
    result = run_stages(make_settings(method=method))
    example_id = sorted(result.scores())[0]
    (why,) = explain(result.settings, result.version, {"t": [example_id]})["t"].values()
    assert isinstance(why, Why)
    assert (why.contributions, why.nearest) == ([], [])
    assert why.rank > 0


def test_hostile_text_is_shown_and_not_acted_on(capsys) -> None:
    why = Why(
        target="[red]t",
        score=None,
        status="[bold]no_label",
        rank=0,
        scored=1,
        selected=False,
        best_subtask=None,
        contributions=[],
        nearest=[],
    )
    print_explanation("0" * 32, "[link=file:///etc/passwd]x[/link] \u202eabc \x1b[31m", [why])
    said = capsys.readouterr().out
    assert "[link=file:///etc/passwd]x[/link]" in said
    assert "\\u202eabc \\u001b[31m" in said
    assert "[red]t" in said
    assert "[bold]no_label" in said


def test_exact_scores_without_features_have_contributions_and_no_neighbours(make_settings, run_stages) -> None:
    result = run_stages(make_settings(influence={"scoring": "exact", "keep_features": False}))
    example_id = sorted(result.scores())[0]
    (why,) = explain(result.settings, result.version, {"t": [example_id]})["t"].values()
    assert len(why.contributions) == 2
    assert why.nearest == []


def test_an_example_that_is_not_on_the_shortlist_is_explained_by_its_status(make_settings, run_stages) -> None:
    result = run_stages(make_settings(influence={"scoring": "rerank"}))
    left_out = next(e for e, score in result.scores().items() if score is None)
    (why,) = explain(result.settings, result.version, {"t": [left_out]})["t"].values()
    assert (why.status, why.score, why.contributions) == ("not_shortlisted", None, [])
