"""The main job on a real small model and on data made on the spot, with the answer known to everyone but the method."""

import json
import logging
from collections import Counter
from pathlib import Path

from less_core.demo.data import TARGET_SKILL, write_demo_data
from less_core.refs import RunRef
from less_core.settings.file import load_settings
from less_core.settings.select import SelectSettings

SETTINGS = Path(__file__).with_name("demo.yaml")
FOLDER = Path("demo")  # where the settings say model and data are
DATA = ("pool.jsonl", "target.jsonl", "held_out.jsonl")
PER_SKILL = 32  # examples of each of the eight skills

logger = logging.getLogger(__name__)


def prepare_demo() -> SelectSettings:
    """Make the demo's model and data where they are not there yet, and return its settings."""
    settings = load_settings(SETTINGS)
    provide_demo_data(settings)
    provide_demo_model(settings)
    return settings


def provide_demo_data(settings: SelectSettings) -> None:
    """Make the demo's data where a run names a file of it that is not there: the forms in the UI are filled with them."""
    paths = [*(pool.path for pool in settings.pools), *(target.path for target in settings.targets)]
    named = [Path(settings.data_path(path)) for path in paths if path]
    if any(path.parent == FOLDER / "data" and path.name in DATA and not path.exists() for path in named):
        write_demo_data(FOLDER / "data", per_skill=PER_SKILL)


def provide_demo_model(settings: SelectSettings) -> None:
    """Make the demo's model where a run names it and it is not there, which takes half a minute.

    Raises:
        ConfigError: The package that carries the model is not installed.
    """
    if Path(settings.model.path) == FOLDER / "model" and not (FOLDER / "model" / "config.json").exists():
        from less_core.demo.smollm2 import convert_smollm2

        logger.info("making the demo's model in %s", FOLDER / "model")
        convert_smollm2(FOLDER / "model")


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
