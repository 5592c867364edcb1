"""What a warmup leaves where it goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from less_core.errors import NonFiniteGradientError
from less_core.settings.select import SelectSettings


def test_warmup_that_diverges_is_a_clear_error_and_leaves_no_checkpoint(
    make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any]
) -> None:
    settings = make_settings(warmup={"fraction": 0.5, "epochs": 2, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e30})
    with pytest.raises(NonFiniteGradientError, match=r"warmup, epoch \d: expected finite weights.*learning_rate"):
        run_stages(settings)
    assert not list(Path(settings.store).glob("warmups/*/checkpoint-*/checkpoint.json"))
