"""Keys of artifacts: Prefect shows what has the same key as one artifact with several versions."""

import re

from flows.run.artifacts import artifact_key


def test_selections_whose_names_differ_have_artifacts_of_their_own() -> None:
    keys = [artifact_key(name, "report") for name in ("maths.1", "maths-1", "Maths_1", "maths_1")]
    assert len(set(keys)) == 4
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)


def test_a_plain_name_keeps_the_key_that_links_to_it_have() -> None:
    assert artifact_key("maths-1", "report") == "maths-1-report"
    assert artifact_key("pool features", "progress") == "pool-features-progress"
