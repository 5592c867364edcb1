"""Where everything stands: the only file that spells a path."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from less_core.files.fingerprint import fingerprint
from less_core.refs import Side
from less_core.settings.select import SelectSettings

KINDS = ("examples", "warmups", "trainings", "evaluations", "features", "influence")  # folders of a store


@dataclass(frozen=True)
class Store:
    """The content-addressed folder that runs share."""

    root: str

    def example_shards(self, encoding: str) -> str:
        return f"{self.root}/examples/{encoding}"

    def example_shard(self, encoding: str, shard: str) -> str:
        return f"{self.example_shards(encoding)}/{shard}.parquet"

    def warmup(self, fingerprint: str) -> str:
        return f"{self.root}/warmups/{fingerprint}"

    def warmup_record(self, fingerprint: str) -> str:
        return f"{self.warmup(fingerprint)}/warmup.json"

    def checkpoint(self, warmup: str, step: int) -> str:
        return f"{self.warmup(warmup)}/checkpoint-{step}"

    def training(self, fingerprint: str) -> str:
        return f"{self.root}/trainings/{fingerprint}"

    def evaluation(self, fingerprint: str) -> str:
        return f"{self.root}/evaluations/{fingerprint}.json"

    def feature_shards(self, fingerprint: str) -> str:
        return f"{self.root}/features/{fingerprint}"

    def influence_shards(self, fingerprint: str) -> str:
        return f"{self.root}/influence/{fingerprint}"


@dataclass(frozen=True)
class Version:
    """The results of one selection. A run's own folder has the same names, which lead to its newest version."""

    root: str

    @property
    def name(self) -> str:
        return self.root.rpartition("/")[2]

    def index(self, side: Side) -> str:
        return f"{self.root}/index/{side}.parquet"

    def pool_index(self, pool: str) -> str:
        return f"{self.root}/index/pools/{pool}.parquet"

    def pool_copies(self, pool: str) -> str:
        return f"{self.root}/index/copies/{pool}.parquet"

    def features(self, side: Side) -> str:
        return f"{self.root}/index/{side}_features.json"

    @property
    def index_folder(self) -> str:
        return f"{self.root}/index"

    @property
    def target_parts(self) -> str:
        return f"{self.root}/index/target_parts.json"

    @property
    def shortlist(self) -> str:
        return f"{self.root}/index/shortlist.parquet"

    def influence(self, part: int) -> str:
        return f"{self.root}/index/influence-{part}.json"

    def selected_ids(self, target: str) -> str:
        return f"{self.root}/index/selected/{target}.parquet"

    def scores(self, target: str) -> str:
        return f"{self.root}/scores/{target}.parquet"

    def selected(self, target: str) -> str:
        return f"{self.root}/selected/{target}.jsonl"

    def moves(self, target: str) -> str:
        return f"{self.root}/changes/{target}.parquet"

    @property
    def basis(self) -> str:
        return f"{self.root}/basis.json"

    @property
    def report(self) -> str:
        return f"{self.root}/report.html"

    @property
    def record(self) -> str:
        return f"{self.root}/run.json"


@dataclass(frozen=True)
class ComparisonFiles:
    """What a comparison of methods leaves."""

    root: str

    @property
    def record(self) -> str:
        return f"{self.root}/comparison.json"

    @property
    def table(self) -> str:
        return f"{self.root}/comparison.md"

    def picture(self, what: str) -> str:
        return f"{self.root}/{what}.png"


@dataclass(frozen=True)
class Run:
    """A named selection: its versions, the newest of them published under the run's own name."""

    root: str

    def version(self, name: str) -> Version:
        return Version(f"{self.root}/versions/{name}")

    @property
    def versions(self) -> str:
        return f"{self.root}/versions"

    @property
    def published(self) -> Version:
        return Version(self.root)

    @property
    def current(self) -> str:
        return f"{self.root}/current"


PUBLISHED = ("scores", "selected", "changes", "report.html", "run.json")  # names in a version that a run's own folder has too
MERGED = "merged"  # stands for a target's name in `Version.selected`


def shard_in(folder: str, shard: str) -> str:
    """Return the file of a shard of features or of exact influence."""
    return f"{folder}/{shard}.parquet"


def place_in_store(path: str) -> str:
    """Return a path as its store sees it, ``features/<fingerprint>/<shard>.parquet``, wherever the store stood when it was written down.

    Empty where it is not of a store.
    """
    parts = path.split("/")
    start = max((number for number, part in enumerate(parts) if part in KINDS), default=len(parts))
    return "/".join(parts[start:])


def trainer_folder(folder: str) -> Path:
    """Return the local folder where the Trainer keeps what it needs to go on; for a remote store it is lost with the machine.

    Its lock keeps a second run on this machine from training the same there; see `locks.py`.
    """
    if "://" in folder:
        return Path(tempfile.gettempdir()) / f"less-trainer-{fingerprint(folder)}"  # stores have the same training each for itself
    return Path(folder) / "trainer"


def store_of(settings: SelectSettings) -> Store:
    return Store(settings.store.rstrip("/"))


def run_of(settings: SelectSettings) -> Run:
    return Run(f"{settings.runs.rstrip('/')}/{settings.name}")
