"""A realistic `RunSummary`, and hostile strings to put in every place of it that other people write."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from less_core.changes.records import (
    ChangeSummary,
    Cost,
    ExampleMove,
    PoolChange,
    PoolDrift,
    SelectionChange,
    SettingChange,
    TargetChange,
)
from less_core.refs import StageCost
from less_core.report.summary import (
    CheckpointSummary,
    ExampleView,
    Histogram,
    LengthBin,
    PoolSummary,
    RunSummary,
    SourceShare,
    SubtaskCount,
    TargetSummary,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></section><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<style>*{display:none}</style><!-- ",
    "--> ]]> </title></textarea><iframe srcdoc='<script>alert(1)</script>'>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "<http://evil.example> https://evil.example/?q=1 www.evil.example a@evil.example mailto:a@evil.example",
    "[ref]: http://evil.example 'title'",
    "a | b | c \\| d \\",
    "```\n```\n# heading\n\n- item\n\n---\n\n| a |\n| - |\n",
    "`` ` ``` ~~~~ ~~gone~~ **bold** __bold__ *it* _it_ &lt;b&gt; &#60;i&#62; &amp;",
    "# h\n===\n> q\n1. one\n    code\n\tcode\n",
    "{{ 7 * 7 }} {% raw %} {# x #}",
    r"$\frac{1}{2}$ $\undefined$ $$ $",
    "user\u202etxt.exe\u2066\u2069\u200f\u061c",
    "null\x00 bell\x07 esc\x1b[31m del\x7f nel\x85 return\r feed\x0c line\u2028 paragraph\u2029",
    "lone \ud800 surrogate \udfff",
    "tags \U000e0041\U000e0042 none \ufffe\uffff\U0001ffff zero\u200bwidth \ufeff",
    "مرحبا بالعالم, 你好, Größe, 👩\u200d🔬, e\u0301\u0302\u0303",
    "",
    " ",
    "\n\n\n",
    "x" * 3000,
]

_SUBTASKS = [
    f"{area}_{level}"
    for area in ("algebra", "anatomy", "law", "physics", "virology", "history", "logic", "ethics", "biology")
    for level in "abcdef"
]
_COUNTS = [7, 6, 5, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1] + 37 * [0]  # 40 in 54
_QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell "
    "altogether in April and May?"
)
_ANSWER = "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n#### 72"
_TEXTS = [
    f"user:\n{_QUESTION}\n\nassistant:\n{_ANSWER}",
    "user:\nWrite a C++ program that prints the area of a rectangle.\n\nassistant:\n"
    + "#include <iostream>\n\nint main() {\n    int width = 5;\n    int height = 8;\n    std::cout << width * height << std::endl;\n}\n"
    * 5,
    "user:\nPassage: أدّت الفائزة ستة مرات بجائزة غرامي النشيد الوطني.\n\nQuestion: من أدى النشيد؟\n\nassistant:\nالفائزة ستة مرات",
    "user:\nImagine you are a detective in a Victorian town. Describe the scene.\n\nassistant:\n"
    + "The study is dimly lit. Books line the walls, and a clock has stopped at ten past three. " * 12,
]


def make_example(rank: int, score: float, **changes: Any) -> ExampleView:
    values: dict[str, Any] = {
        "rank": rank,
        "example_id": f"{rank:032x}",
        "pool": ("gsm8k_train", "codegen", "xquad", "roleplay")[rank % 4],
        "file": "part-0.jsonl",
        "index": 37 * rank % 800,
        "score": score,
        "best_subtask": "gsm8k",
        "num_tokens": 61 + 29 * rank % 400,
        "text": _TEXTS[(rank - 1) % 4],
    }
    return ExampleView(**(values | changes))


def make_target(name: str = "gsm8k", **changes: Any) -> TargetSummary:
    """Make a target whose 40 of 800 examples are for 55% from `gsm8k_train`, a quarter of the pool."""
    edges = [-0.02 + 0.0025 * place for place in range(41)]
    bell = [round(59 * math.exp(-(((place - 11) / 5.5) ** 2) / 2)) + (place in (30, 33, 38)) for place in range(40)]
    bell[11] += 800 - sum(bell)
    selected = [max(0, min(bell[place], 40 - sum(bell[place + 1 :]))) for place in range(40)]
    values: dict[str, Any] = {
        "name": name,
        "examples": 8,
        "subtasks": 1,
        "unusable": 0,
        "left_out": [],
        "scored": 800,
        "selected": 40,
        "selected_tokens": 9_431,
        "threshold": 0.02981,
        "length_correlation": -0.42,
        "scores": Histogram(edges=edges, pool=bell, selected=selected),
        "sources": [
            SourceShare(pool="gsm8k_train", source="gsm8k_train", pool_examples=200, selected_examples=22),
            SourceShare(pool="codegen", source="codegen", pool_examples=150, selected_examples=6),
            SourceShare(pool="flan_cot", source="cot_aqua", pool_examples=90, selected_examples=9),
            SourceShare(pool="flan_cot", source="cot_sensemaking", pool_examples=60, selected_examples=2),
            SourceShare(pool="p3", source="p3_adversarial_qa_dbert", pool_examples=120, selected_examples=0),
            SourceShare(pool="p3", source="p3_wiki_hop", pool_examples=30, selected_examples=0),
            SourceShare(pool="roleplay", source="roleplay", pool_examples=100, selected_examples=1),
            SourceShare(pool="xquad", source="xquad_ar", pool_examples=50, selected_examples=0),
        ],
        "lengths": [
            LengthBin(low=low, high=high, examples=count, mean_score=mean, selected=chosen)
            for low, high, count, mean, chosen in [
                (0, 32, 12, 0.0291, 3),
                (32, 64, 88, 0.0242, 12),
                (64, 96, 117, 0.0197, 10),
                (96, 128, 113, 0.0151, 6),
                (128, 192, 180, 0.0108, 5),
                (192, 256, 90, 0.0085, 2),
                (256, 384, 101, 0.0051, 2),
                (384, 512, 39, 0.0039, 0),
                (512, 768, 41, 0.0018, 0),
                (768, 1024, 14, 0.0012, 0),
                (2048, 1 << 30, 5, -0.0031, 0),
            ]
        ],
        "best_subtasks": [SubtaskCount(subtask="gsm8k", selected=40)],
        "best": [make_example(rank, 0.0873 / rank**0.2) for rank in range(1, 9)],
        "worst": [make_example(801 - rank, -0.0196 + 0.0004 * rank) for rank in range(1, 9)],
    }
    return TargetSummary(**(values | changes))


def make_summary(**changes: Any) -> RunSummary:
    """Make the summary of a run with two targets, the second with 57 subtasks of which 3 were left out."""
    mmlu = make_target(
        "mmlu",
        examples=285,
        subtasks=57,
        left_out=[f"{name}: no label within 2048 tokens" for name in ("world_religions", "moral_disputes", "us_foreign_policy")],
        length_correlation=0.69,
        best_subtasks=[SubtaskCount(subtask=name, selected=count) for name, count in zip(_SUBTASKS, _COUNTS, strict=True)],
        sources=[
            SourceShare(pool="p3", source=f"p3_task_{place:02d}", pool_examples=size, selected_examples=count)
            for place, (size, count) in enumerate(zip(range(12, 42), _COUNTS, strict=False))
        ],
    )
    values: dict[str, Any] = {
        "name": "gsm8k-mmlu",
        "finished": "2025-11-22T13:37:05+00:00",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "device": "cpu, 2 threads",
        "budget": "5% of the pool",
        "settings_yaml": "name: gsm8k-mmlu\nmodel:\n  path: HuggingFaceTB/SmolLM2-135M-Instruct\n  lora: {rank: 128, alpha: 512}\n"
        "pools:\n- {name: gsm8k_train, path: train/gsm8k_train.jsonl}\nselection: {by: fraction, amount: 0.05}\n",
        "versions": {"less-flow": "0.1.0", "python": "3.11.7", "torch": "2.9.1", "transformers": "5.23.0", "prefect": "3.8.8"},
        "seconds": 4_212.4,
        "stages": [
            StageCost(name="read pools", unit="examples", total=800, reused=0, computed=800, seconds=2.1, bytes_written=3_400_000),
            StageCost(name="warmup", unit="checkpoints", total=4, reused=4, computed=0, seconds=0.2, bytes_written=0),
            StageCost(
                name="train features", unit="examples", total=3_200, reused=2_400, computed=800, seconds=3_801.7, bytes_written=13_400_000
            ),
            StageCost(
                name="target features", unit="examples", total=1_172, reused=0, computed=1_172, seconds=390.5, bytes_written=19_200_000
            ),
            StageCost(name="scores", unit="examples", total=1_600, reused=0, computed=1_600, seconds=1.9, bytes_written=88_000),
        ],
        "pools": [
            PoolSummary(
                name=name,
                rows=rows,
                skipped=skipped,
                duplicates=duplicates,
                not_sampled=0,
                examples=rows - skipped - duplicates,
                tokens=241 * rows,
                truncated=rows // 40,
                no_label=no_label,
                nonfinite=0,
                bad_rows=[f"train/{name}.jsonl:{17 * line}: expected `messages`, got null" for line in range(1, min(skipped, 3) + 1)],
            )
            for name, rows, skipped, duplicates, no_label in [
                ("gsm8k_train", 200, 0, 0, 0),
                ("codegen", 155, 4, 1, 0),
                ("flan_cot", 150, 0, 0, 0),
                ("p3", 152, 0, 2, 7),
                ("roleplay", 100, 0, 0, 0),
                ("xquad", 50, 0, 0, 0),
            ]
        ],
        "checkpoints": [
            CheckpointSummary(name=f"checkpoint-{step}", step=step, learning_rate=rate, weight=rate / 4.1e-5, epsilon_share=share)
            for step, rate, share in [(2, 1.8e-5, 0.76), (4, 1.3e-5, 0.71), (6, 7.5e-6, 0.68), (8, 2.5e-6, 0.65)]
        ],
        "targets": [make_target(), mmlu],
        "merged": 71,
        "files": [
            "report.html",
            "run.json",
            "scores/gsm8k.parquet",
            "scores/mmlu.parquet",
            "selected/gsm8k.jsonl",
            "selected/merged.jsonl",
        ],
    }
    return RunSummary(**(values | changes))


def make_move(rank: int, **changes: Any) -> ExampleMove:
    """Make an example that rose to a rank, or for `why="fell"` fell from it."""
    before, now = (rank, rank + 20) if changes.get("why") == "fell" else (rank + 20, rank)
    values: dict[str, Any] = {
        "example_id": f"{rank:032x}",
        "pool": ("gsm8k_train", "codegen")[rank % 2],
        "file": f"part-{rank % 3}.jsonl",
        "index": 37 * rank % 800,
        "why": "rose",
        "rank_before": before,
        "rank_now": now,
        "score_before": 0.08 / before**0.2,
        "score_now": 0.08 / now**0.2,
        "text": _TEXTS[rank % 4],
    }
    return ExampleMove(**(values | changes))


def make_selection(target: str = "gsm8k", **changes: Any) -> SelectionChange:
    """Make the change of a selection of 40: three came in, one of them new in the pool, and three went out, none of them removed."""
    values: dict[str, Any] = {
        "target": target,
        "before": 40,
        "now": 40,
        "kept": 37,
        "came_in": 3,
        "went_out": 3,
        "came_in_new": 1,
        "went_out_removed": 0,
        "jaccard": 37 / 43,
        "common": 780,
        "spearman": 0.9731,
        "mean_rank_shift": 2.45,
        "drift": [
            PoolDrift(pool="gsm8k_train", examples=197, mean_before=0.0301, mean_now=0.0312, rms=0.0021),
            PoolDrift(pool="codegen", examples=150, mean_before=0.0101, mean_now=0.0099, rms=0.0008),
        ],
        "moved_in": [make_move(7, why="new", rank_before=None, score_before=None), make_move(31), make_move(38)],
        "moved_out": [make_move(36, why="fell"), make_move(39, why="fell"), make_move(40, why="fell", text="")],
    }
    return SelectionChange(**(values | changes))


def make_changes(**changes: Any) -> ChangeSummary:
    """Make what changed since a version that had three examples fewer of one pool, one more of another, and one target fewer."""
    values: dict[str, Any] = {
        "before": "20251115-080000",
        "before_link": "http://127.0.0.1:4200/runs/flow-run/0193?tab=logs&all=1",
        "model_changed": False,
        "warmup": "The same checkpoints as the last version.",
        "settings": [
            SettingChange(key="selection.amount", before="0.1", now="0.05"),
            SettingChange(key="pools.xquad.path", before="not set", now='"train/xquad.jsonl"'),
        ],
        "pools": [
            PoolChange(name="gsm8k_train", before=198, now=200, added=3, removed=1, edited=2),
            PoolChange(name="codegen", before=150, now=150, added=0, removed=0, edited=0),
        ],
        "targets": [
            TargetChange(name="mmlu", what="changed", examples_before=280, examples_now=285),
            TargetChange(name="bbh", what="removed", examples_before=81, examples_now=0),
        ],
        "selections": [
            make_selection(),
            make_selection("mmlu", kept=40, came_in=0, went_out=0, came_in_new=0, jaccard=1.0, moved_in=[], moved_out=[]),
        ],
        "cost": Cost(features=2_400, computed=120, seconds=31.0, seconds_from_nothing=560.0),
    }
    return ChangeSummary(**(values | changes))


def with_text(text: str) -> RunSummary:
    """Make a summary whose every string is `text`, but for those that are one of a few words."""
    return RunSummary.model_validate(_replaced(make_summary(changes=make_changes()).model_dump(), text))


def no_changes() -> ChangeSummary:
    """Make what changed between two versions of nothing."""
    selection = make_selection(
        **dict.fromkeys(["before", "now", "kept", "came_in", "went_out", "came_in_new", "went_out_removed", "common"], 0),
        **{"jaccard": 1.0, "spearman": None, "mean_rank_shift": None, "drift": [], "moved_in": [], "moved_out": []},
    )
    cost = Cost(features=0, computed=0, seconds=0.0, seconds_from_nothing=None)
    return make_changes(before_link="", warmup="", settings=[], pools=[], targets=[], selections=[selection], cost=cost)


def empty_summary() -> RunSummary:
    """Make a summary of nothing: every list empty, every number zero or not there."""
    target = make_target(
        examples=0,
        subtasks=0,
        scored=0,
        selected=0,
        selected_tokens=0,
        threshold=math.nan,
        length_correlation=math.nan,
        scores=Histogram(edges=[], pool=[], selected=[]),
        sources=[],
        lengths=[],
        best_subtasks=[],
        best=[],
        worst=[],
    )
    return make_summary(
        targets=[target], merged=0, seconds=0.0, versions={}, settings_yaml="", stages=[], pools=[], checkpoints=[], files=[]
    )


def _replaced(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {
            (text if key == "prefect" else key): item if key in ("why", "what") else _replaced(item, text) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_replaced(item, text) for item in value]
    return text if isinstance(value, str) else value


@pytest.fixture(scope="session")
def summary() -> RunSummary:
    return make_summary()


@pytest.fixture(scope="session")
def target_with() -> Callable[..., TargetSummary]:
    return make_target


@pytest.fixture(scope="session")
def summary_with() -> Callable[..., RunSummary]:
    return make_summary


@pytest.fixture(scope="session")
def summary_of() -> Callable[[str], RunSummary]:
    """Return what makes the summary whose every string is the given text."""
    return with_text


@pytest.fixture(scope="session")
def changes_with() -> Callable[..., ChangeSummary]:
    return make_changes


@pytest.fixture(scope="session")
def selection_with() -> Callable[..., SelectionChange]:
    return make_selection


@pytest.fixture(scope="session")
def move_with() -> Callable[..., ExampleMove]:
    return make_move


@pytest.fixture(scope="session")
def changes_of() -> Callable[[str], ChangeSummary]:
    """Return what makes the changes whose every string is the given text."""
    return lambda text: ChangeSummary.model_validate(_replaced(make_changes().model_dump(), text))


@pytest.fixture(scope="session")
def no_change() -> ChangeSummary:
    return no_changes()


@pytest.fixture(scope="session")
def nothing() -> RunSummary:
    return empty_summary()


@pytest.fixture(params=HOSTILE, ids=[f"hostile{place}" for place in range(len(HOSTILE))])
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)
