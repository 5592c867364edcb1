"""Tasks of lm-eval by name. It comes with the extra `eval` and takes seconds to import, so only a run of it imports it."""

from importlib.util import find_spec

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from less_core.errors import ConfigError


def check_harness() -> None:
    """Check that lm-eval is installed, without importing it.

    Raises:
        ConfigError: It is not.
    """
    if find_spec("lm_eval") is None:
        raise ConfigError("evaluation", "lm-eval for its tasks", "no such package", "Run pip install 'less-flow[eval]'.")


def run_tasks(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: list[str], include_path: str, limit: int, batch_size: int
) -> dict[str, float]:
    """Return what lm-eval measures of a model, as "task/metric", or "task/metric,filter" where a filter picks the answer out.

    Args:
        model: With its adapter, merged or not; stays on its device.
        tokenizer: Its own.
        tasks: Names of tasks, groups or tags; of a group its own score and those of its tasks.
        include_path: A folder with further tasks as YAML, or empty. lm-eval runs the Python functions that these files name.
        limit: So many rows of each task; 0 for all.
        batch_size: Rows a forward pass.

    Raises:
        ConfigError: lm-eval is not installed, or has no task of a name.
    """
    check_harness()
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=include_path or None)
    if unknown := sorted(set(tasks) - set(manager.all_tasks)):
        own = f" or of {include_path}" if include_path else ""
        raise ConfigError("evaluation", f"names of tasks of lm-eval{own}", repr(unknown), "`lm-eval ls tasks` lists them.")
    found = simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size),
        tasks=tasks,
        task_manager=manager,
        limit=limit or None,
        bootstrap_iters=0,  # standard errors are not asked for
        log_samples=False,
    )
    return {
        f"{task}/{metric.removesuffix(',none')}": float(value)
        for task, metrics in found["results"].items()
        for metric, value in metrics.items()
        if "," in metric and "_stderr," not in metric  # the rest is about the task, such as its number of rows
    }
