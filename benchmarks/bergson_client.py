"""bergson (EleutherAI) beside this project's extraction: an environment and a process of its own, asked for one batch at a time."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from peft import PeftModel

from less_core.data.encoding import EncodedExample
from less_core.model.losses import IGNORE

BERGSON = "bergson==2.5.1"
SAME = ("torch", "transformers", "peft", "accelerate", "numpy")  # versions as here


class Bergson:
    """A process that holds the same model, adapter and examples, and waits while others take their turn.

    Args:
        venv: Folder of the environment; made where it is missing.
        model: From a folder, with its adapter.
        examples: All that it will be asked for.
        dim: Width of a feature, as near as its projection comes to that.
    """

    def __init__(self, venv: Path, model: PeftModel, examples: Sequence[EncodedExample], dim: int) -> None:
        if not (venv / "done").exists():
            make_environment(venv)
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        model.save_pretrained(folder / "adapter")
        self._places = {example.example_id: place for place, example in enumerate(examples)}
        ids = [example.input_ids for example in examples]
        labels = [[i if m else IGNORE for i, m in zip(e.input_ids, e.label_mask, strict=True)] for e in examples]
        (folder / "examples.json").write_text(json.dumps({"input_ids": ids, "labels": labels, "length": [len(i) for i in ids]}))
        self._log = folder / "log"
        answers, end = os.pipe()  # bergson prints on its standard output
        command = [venv / "bin" / "python", "-I", Path(__file__).with_name("bergson_peer.py"), folder, str(dim), str(end)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, pass_fds=[end])
        os.close(end)
        self._answers = os.fdopen(answers)
        self.description = self._answer()

    def of(self, kind: str) -> Callable[[Sequence[EncodedExample]], None]:
        """Return what has it take the features of a batch, with the moments of `adam` or as `sgd`."""

        def run(batch: Sequence[EncodedExample]) -> None:
            self._process.stdin.write(json.dumps([kind, [self._places[example.example_id] for example in batch]]) + "\n")
            self._process.stdin.flush()
            self._answer()

        return run

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"bergson ended: {self._log.read_text()[-2000:]}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()  # which ends it
        self._process.wait()
        self._answers.close()
        self._folder.cleanup()


def make_environment(venv: Path) -> None:
    """Install bergson with the versions of torch and transformers that run here, so that no other torch is fetched."""
    print(f"making {venv}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    constraints = venv / "constraints.txt"
    constraints.write_text("".join(f"{name}=={importlib.metadata.version(name)}\n" for name in SAME))
    pip = [venv / "bin" / "python", "-I", "-m", "pip", "-qq"]
    subprocess.run([*pip, "install", "--constraint", constraints, BERGSON], check=True)
    # It requires these and imports neither. PyPI's are for CUDA, and beside a CPU torch transformers fails on them.
    subprocess.run([*pip, "uninstall", "--yes", "torchvision", "torchaudio"], check=True)
    (venv / "done").touch()
