"""The scores of a whole run against a slow literal statement of the method: batch of one, a dense matrix, plain loops."""

import json

import pytest
from oracle import oracle

from less_core.data.rows.shapes import to_example


@pytest.mark.parametrize(
    ("gradient_kind", "fidelity", "projection"),
    [
        ("adam", "less-code", "sketch"),
        ("adam", "paper", "sketch"),
        ("adam", "less-code", "rademacher"),
        ("sgd", "paper", "rademacher"),
        ("sign", "less-code", "sketch"),
    ],
)
def test_scores_of_a_run_equal_the_literal_oracle(make_settings, run_stages, gradient_kind: str, fidelity: str, projection: str) -> None:
    features = {
        "gradient": gradient_kind,
        "fidelity": fidelity,
        "projection": {"kind": projection, "dim": 256},
        "max_length": 128,
        "storage": "float32",
    }
    result = run_stages(make_settings(features=features))
    expected = oracle(result.settings, result.model, result.checkpoints)
    scores = result.scores()
    assert scores.keys() == expected.keys()
    spread = max(expected.values()) - min(expected.values())
    assert max(abs(scores[e] - expected[e]) for e in scores) <= 1e-4 * spread
    best = sorted(expected, key=lambda e: (-expected[e], e))[:5]
    chosen = [to_example(json.loads(line)).example_id for line in result.selected()]
    assert chosen == best
