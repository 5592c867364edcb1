"""The plan of a run, as a table on the terminal."""

import math

from rich.console import Console
from rich.table import Table

from less_core.preflight.plan import make_plan
from less_core.report.style.wording import duration, percent, size, thousands
from less_core.settings.select import SelectSettings


def print_plan(settings: SelectSettings, *, calibrate: bool = False) -> None:
    """Print what a run would compute, reuse and cost."""
    plan = make_plan(settings, calibrate=calibrate)
    passes = f", {plan.passes} passes: see influence.target_memory" if plan.passes > 1 else ""
    measured = "from batches measured now" if plan.calibrated else "from a matrix product measured now, at half its speed; see --calibrate"
    workers = " of one worker" if settings.execution.remote else ""
    time = (
        f"{duration(plan.seconds)}{workers} ({measured})" if math.isfinite(plan.seconds) else "not known: only the cluster has the device"
    )
    table = Table(title=f"Plan of {settings.name}", show_header=False)
    for name, value in (
        ("pool examples", f"{thousands(plan.examples)} distinct, about {plan.mean_tokens:.0f} tokens each (from a sample)"),
        ("target examples", thousands(plan.target_examples)),
        (
            "warmup",
            "none to train, or in the store"
            if plan.warmup_known
            else f"to train: {percent(settings.warmup.fraction)} of the pool, {settings.warmup.epochs} epochs",
        ),
        ("features", f"{thousands(plan.features)} = examples x {plan.checkpoints} checkpoints{passes}"),
        ("  in the store", thousands(plan.reused)),
        ("  to compute", thousands(plan.missing)),
        ("tokens to compute", f"{plan.tokens:,.0f}"),
        ("floating-point operations", f"{plan.operations:.2e}"),
        ("store grows by", size(plan.store_bytes)),
        ("memory" if plan.calibrated else "memory, besides a batch", size(plan.memory_bytes)),
        ("time, roughly", time),
    ):
        table.add_row(name, value)
    Console().print(table)
