"""Feature extraction against its floor, the LESS scripts' way and others, on the same batches in one run.

    python benchmarks/extraction.py --model demo/model [--data DATA] [--rank 8] [--bergson-venv DIR]    # see extraction_data.py
    python benchmarks/extraction.py --shape llama-2-7b [--rank 128] [--profile]                         # see extraction_shape.py

The second needs torch, transformers, peft, accelerate and pyarrow alone. `--help` after either says what else it takes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # nothing has to be installed for it


def main() -> None:
    given = {argument.partition("=")[0] for argument in sys.argv[1:]}
    if "--shape" in given:
        from extraction_shape import main as measure
    elif given & {"--model", "--help", "-h"}:
        from extraction_data import main as measure
    else:
        sys.exit(__doc__)
    measure()


if __name__ == "__main__":
    main()
