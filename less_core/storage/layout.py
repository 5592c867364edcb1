"""Where everything stands: the only file that spells a path."""

from dataclasses import dataclass
from typing import Literal

from less_core.config import SelectSettings

Side = Literal["pool", "target"]


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

    def feature_shards(self, fingerprint: str) -> str:
        return f"{self.root}/features/{fingerprint}"

    def feature_shard(self, fingerprint: str, shard: str) -> str:
        return f"{self.feature_shards(fingerprint)}/{shard}.parquet"


@dataclass(frozen=True)
class Run:
    """The results of one run."""

    root: str

    def index(self, side: Side) -> str:
        return f"{self.root}/index/{side}.parquet"

    def pool_index(self, pool: str) -> str:
        return f"{self.root}/index/pools/{pool}.parquet"

    def features(self, side: Side) -> str:
        return f"{self.root}/index/{side}_features.json"

    def scores(self, target: str) -> str:
        return f"{self.root}/scores/{target}.parquet"

    def selected(self, target: str) -> str:
        return f"{self.root}/selected/{target}.jsonl"

    @property
    def report(self) -> str:
        return f"{self.root}/report.html"

    @property
    def record(self) -> str:
        return f"{self.root}/run.json"


MERGED = "merged"  # stands for a target's name in `Run.selected`


def store_of(settings: SelectSettings) -> Store:
    return Store(settings.store.rstrip("/"))


def run_of(settings: SelectSettings) -> Run:
    return Run(f"{settings.runs.rstrip('/')}/{settings.name}")
