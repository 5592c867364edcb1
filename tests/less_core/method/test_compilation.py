"""The Triton kernels compiled for GPUs that are not here; the interpreter, in which other tests run them, takes more than the compiler."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

CAPABILITIES = {80: "A100", 90: "H100"}
KERNELS = {"_sketch_update", "_rademacher_parts", "_product_parts"}


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES, ids=CAPABILITIES.values())
def test_every_kernel_compiles_and_keeps_its_values_in_registers(capability: int, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, __file__, str(capability)], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    compiled = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {name for name, _ in compiled} == KERNELS
    assert [(name, stack) for name, stack in compiled if stack] == []  # what does not fit into registers lies on a stack in slow memory


def main() -> None:
    """Call the kernels' functions as extraction does, compile what they would launch, and print its name and the bytes of its stack."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.runtime.jit import JITFunction

    class Elsewhere:
        """As much of a driver as the compiler asks."""

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", int(sys.argv[1]), 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    triton.runtime.driver.set_active(Elsewhere())
    launch = JITFunction.run

    def compile_only(self, *args, warmup: bool, **kwargs) -> None:
        kernel = launch(self, *args, warmup=True, **kwargs)
        print(json.dumps([kernel.metadata.name, stack_of(kernel.asm["cubin"])]))

    JITFunction.run = partialmethod(compile_only)
    for call in calls():
        call()


def calls() -> Iterator:
    from less_core.method import kernels

    n, dim = 64 * 128, 8192
    gradient, moments, shifts = torch.zeros(3, n), (torch.zeros(n), torch.zeros(n)), torch.zeros(2, dtype=torch.int64)
    for kind, fidelity in (("sgd", "paper"), ("sign", "paper"), ("adam", "less-code"), ("adam", "paper")):
        for keep in (False, True):
            given = moments if kind == "adam" else None
            yield lambda kind=kind, fidelity=fidelity, keep=keep, given=given: kernels.sketch_update(
                torch.zeros(3, dim), gradient, given, shifts, start=n, sign_seed=2**63 + 1, kind=kind, fidelity=fidelity, keep=keep
            )
    for batch in (1, 32, 64):
        rows = torch.zeros(batch, n)
        yield lambda rows=rows: kernels.rademacher_add(torch.zeros(len(rows), dim), rows, start=n, seed=1)
        for dtype in (torch.float32, torch.bfloat16):
            targets = torch.zeros(57, n, dtype=dtype)
            for lengths in (True, False) if batch == 1 else (True,):
                squares = torch.zeros(kernels.PRODUCT_PARTS, batch, dtype=torch.float64) if lengths else None
                yield lambda rows=rows, targets=targets, squares=squares: kernels.products_add(
                    torch.zeros(kernels.PRODUCT_PARTS, len(rows), 57), squares, rows, targets
                )


def stack_of(cubin: bytes) -> int:
    from triton import knobs

    with open(Path(os.environ["TRITON_CACHE_DIR"]) / "kernel.cubin", "wb") as file:
        file.write(cubin)
    report = subprocess.run([knobs.nvidia.cuobjdump.path, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"STACK:(\d+)", report)[1])


if __name__ == "__main__":
    main()
