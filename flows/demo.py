"""The main job on a real small model and on data made on the spot, with the answer known to everyone but the method."""

import json
from collections import Counter
from pathlib import Path

from less_core.config import SelectSettings
from less_core.data.demo import TARGET_SKILL, write_demo_data
from less_core.model.smollm2 import convert_smollm2
from less_core.refs import RunRef
from less_core.settings_file import load_settings

SETTINGS = Path(__file__).with_name("demo.yaml")
FOLDER = Path("demo")  # where the settings say model and data are
PER_SKILL = 32  # examples of each of the eight skills


def prepare_demo() -> SelectSettings:
    """Make the demo's model and data where they are not there yet, and return its settings."""
    if not (FOLDER / "model" / "config.json").exists():
        convert_smollm2(FOLDER / "model")
    write_demo_data(FOLDER / "data", per_skill=PER_SKILL)
    return load_settings(SETTINGS)


def demo_verdict(run: RunRef) -> str:
    """Return how many of the selected examples have the target's skill, against their share of the pool.

    This is the first and only reading of the answer key.
    """
    skills = [json.loads(line)["skill"] for line in (FOLDER / "data" / "skills.jsonl").read_text().splitlines()]
    rows = (FOLDER / "data" / "pool.jsonl").read_bytes().splitlines()
    skill_of = dict(zip(rows, skills, strict=True))
    chosen = Counter(skill_of[row] for row in Path(run.selections[0].path).read_bytes().splitlines())
    hits, selected = chosen[TARGET_SKILL], chosen.total()
    share = skills.count(TARGET_SKILL) / len(skills)
    return f"{hits} of the {selected} selected examples have the target's skill ({TARGET_SKILL}); {share:.1%} of the pool has it."
