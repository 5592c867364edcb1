"""The command line, as a user runs it: in a process of its own."""

import subprocess
from pathlib import Path

import pytest
from command_line import command, environment, write_config
from samples import write_jsonl

from flows.cli.main import main
from less_core.errors import LessError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["selection.amount=0"], "selection.amount"),
        (["nonsense=1"], "nonsense"),
        (["pools.0.path=missing.jsonl"], "missing.jsonl"),
        (["model.path=/nowhere"], "model.path"),
        (["features.projection.kind=fast-jl", "features.projection.dim=512"], "fast-jl"),
    ],
)
def test_wrong_input_ends_with_one_sentence_and_exit_code_2(
    make_settings, prefect_server, tmp_path, capfd, overrides: list[str], said: str
) -> None:
    config = write_config(make_settings(), tmp_path / "c.yaml")
    assert main(["run", str(config), *(part for override in overrides for part in ("--set", override))]) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("less-flow: ")
    assert said in last
    assert "expected" in last
    assert not Path(make_settings().store).exists()


@pytest.mark.slow
def test_process_ends_with_the_exit_code_of_its_command(tmp_path) -> None:
    done = subprocess.run(command("run", str(tmp_path / "missing.yaml")), env=environment(""), capture_output=True, text=True)
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_says_what_is_missing_before_and_after_a_run(make_settings, run_stages, capsys) -> None:
    from less_core.preflight.plan import make_plan

    settings = make_settings()
    before = make_plan(settings)
    assert not Path(settings.store).exists()
    assert (before.examples, before.target_examples, before.features, before.reused) == (50, 5, 110, 0)
    assert not before.warmup_known
    run_stages(settings)
    after = make_plan(settings)
    assert after.warmup_known
    assert (after.missing, after.reused, after.tokens) == (0, 110, 0)
    assert before.store_bytes == 110 * 256 * 2


@pytest.mark.parametrize("scoring", ["exact", "rerank"])
def test_plan_of_exact_scores_counts_passes_and_memory_and_what_the_store_has(make_settings, run_stages, scoring: str) -> None:
    from less_core.preflight.plan import make_plan

    settings = make_settings(influence={"scoring": scoring})
    before = make_plan(settings, calibrate=True)
    extra = 20 if scoring == "rerank" else 0  # a fifth of the pool at two checkpoints
    assert (before.features, before.reused, before.passes) == (110 + extra, 0, 1)
    assert before.seconds > 0
    assert before.calibrated
    before, by_features = make_plan(settings), make_plan(make_settings())
    coordinates = (before.memory_bytes - by_features.memory_bytes) / (2 * 4)  # two subtasks in float32
    assert coordinates == 2 * (4 * (32 + 32) + 4 * (32 + 16) + 4 * (32 + 32))  # layers x rank x widths of q_proj, v_proj, o_proj
    run_stages(settings)
    assert make_plan(settings).reused == 110
    small = make_plan(make_settings(influence={"scoring": scoring, "target_memory": coordinates * 2.1 / 1e9}))
    assert small.passes == 2


def test_plan_of_features_counts_target_examples_without_a_label_and_needs_none(make_settings, tmp_path) -> None:
    from less_core.preflight.plan import make_plan

    long = {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "yes"}]}
    write_jsonl(tmp_path / "t.jsonl", [long])
    assert make_plan(make_settings()).target_examples == 1
    assert make_plan(make_settings(method="bm25")).features == 0
    with pytest.raises(LessError, match="at least one usable example"):
        make_plan(make_settings(influence={"scoring": "exact"}))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["agree", "maths"], "NAME[@VERSION]"),
        (["reselect", "maths", "--pool-grew-by", "-1"], "expected a number above 0, such as 0.5, got -1"),
        (["schedule", "maths", "--pool-grew-by", "half"], "expected a number above 0, such as 0.5, got half"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_a_server_is_asked(arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
