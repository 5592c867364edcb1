"""Random selection: a number between 0 and 1 an example."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from less_core.files.fingerprint import LENGTH, fingerprint


def random_scores(example_ids: Sequence[str], seed: int, purpose: str) -> NDArray[np.float64]:
    """Return [examples] numbers in (0, 1), drawn by the hash of (purpose, seed, example id): the same whatever the order or the pool."""
    whole = 16**LENGTH
    return np.array([(int(fingerprint([purpose, seed, example_id]), 16) + 0.5) / whole for example_id in example_ids])
