"""Random projections of flattened gradients: linear maps that keep inner products on average.

A projection is fed slices of the flattened gradient, ``[start, start + n)``, and adds each slice's share into [batch, dim],
so that the whole gradient need never exist. Each is a pure function of (seed, coordinate): the same on CPU and GPU,
whatever the batch or the slicing. For k dimensions the variance of an inner product is
(|x|^2 |y|^2 + <x,y>^2 - 2 sum x^2 y^2) / k.
"""

from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from less_core.errors import ConfigError
from less_core.method.hashing import WORD, derive_seed, random_signs, random_words

VERSION = 1  # of the maps below; part of every feature's fingerprint


class Projection(Protocol):
    """A linear map from gradients to features of `dim` dimensions."""

    dim: int

    def add(self, out: Tensor, values: Tensor, start: int) -> None:
        """Add the projection of a slice.

        Args:
            out: [batch, dim] float32, added to in place.
            values: [batch, n] float32, coordinates ``start`` to ``start + n``; may be overwritten.
            start: Place of the slice in the flattened gradient.
        """
        ...


def make_projection(kind: str, dim: int, seed: int, device: torch.device) -> Projection:
    """Return the projection of that kind.

    Raises:
        ConfigError: The kind cannot run here; nothing else is put in its place.
    """
    if kind == "sketch":
        return Sketch(dim, seed, device)
    if kind == "rademacher":
        return Rademacher(dim, seed, device)
    if kind == "fast-jl":
        return FastJL(dim, seed, device)
    raise ConfigError("features.projection.kind", "sketch, rademacher or fast-jl", repr(kind), "Choose one of these.")


def has_kernels(device: torch.device) -> bool:
    """Tell whether the Triton kernels of `kernels.py` run on a device. CUDA builds of torch bring Triton, but not those for Windows."""
    return device.type == "cuda" and find_spec("triton") is not None


class Sketch:
    """Signed count-sketch (Charikar, Chen, Farach-Colton 2002) with one add a coordinate and no scatter.

    The flattened gradient is cut into blocks of `dim` coordinates. Coordinate c gets a random sign; each block is rolled by
    a random shift; blocks are summed. Coordinates of one block never collide, others do with probability 1 / dim.
    """

    def __init__(self, dim: int, seed: int, device: torch.device) -> None:
        self.dim = dim
        self.device = device
        self.sign_seed = derive_seed(seed, "sketch-sign")
        self._shift_seed = derive_seed(seed, "sketch-shift")
        # Signs and shifts of a slice are the same in every batch: cheaper to keep than to hash anew. Kept in the dtype of
        # the gradients, because torch converts the smaller one at every product, which takes longer than the product.
        self._shifts: dict[tuple[int, int], Tensor] = {}
        self._slices: dict[tuple[int, int], tuple[Tensor, list[int]]] = {}

    def add(self, out: Tensor, values: Tensor, start: int) -> None:
        n = values.shape[1]
        signs, shifts = self._slice(start, n)
        values.mul_(signs)
        done = 0
        for block, shift in enumerate(shifts, start // self.dim):
            stop = min((block + 1) * self.dim, start + n) - start
            bin_ = (start + done - block * self.dim + shift) % self.dim
            size = stop - done
            first = min(size, self.dim - bin_)  # up to the right edge; the rest wraps round to bin 0
            out[:, bin_ : bin_ + first].add_(values[:, done : done + first])
            if first < size:
                out[:, : size - first].add_(values[:, done + first : stop])
            done = stop

    def shifts(self, start: int, n: int) -> Tensor:
        """Return int64 [blocks] on the device, the shift of each block of `dim` coordinates that the slice touches."""
        key = (start, n)
        if key not in self._shifts:
            blocks = torch.arange(start // self.dim, (start + n - 1) // self.dim + 1)
            self._shifts[key] = ((random_words(self._shift_seed, blocks) & (2**63 - 1)) % self.dim).to(self.device)
        return self._shifts[key]

    def _slice(self, start: int, n: int) -> tuple[Tensor, list[int]]:
        key = (start, n)
        if key not in self._slices:
            self._slices[key] = (random_signs(self.sign_seed, start, n, self.device).float(), self.shifts(start, n).tolist())
        return self._slices[key]


class Rademacher:
    """Dense matrix of +1 and -1 over sqrt(dim) (Achlioptas 2003), made anew a block of rows at a time, never held whole."""

    rows = 512  # of the matrix in memory at a time: 16 MB of float32 at dim 8192

    def __init__(self, dim: int, seed: int, device: torch.device) -> None:
        self.dim = dim
        self.device = device
        self.seed = derive_seed(seed, "rademacher")
        bytes_ = torch.arange(256, device=device)[:, None]
        bits = (bytes_ >> torch.arange(8, device=device)) & 1
        self._signs_of_byte = (1 - 2 * bits).float() / dim**0.5  # [256, 8]

    def add(self, out: Tensor, values: Tensor, start: int) -> None:
        if has_kernels(self.device):
            from less_core.method.kernels import rademacher_add

            return rademacher_add(out, values.contiguous(), start=start, seed=self.seed)
        for done in range(0, values.shape[1], self.rows):
            piece = values[:, done : done + self.rows]
            out.addmm_(piece, self._matrix(start + done, piece.shape[1]))

    def _matrix(self, start: int, count: int) -> Tensor:
        words_a_row = self.dim // WORD
        counters = torch.arange(start * words_a_row, (start + count) * words_a_row, device=self.device)
        bytes_ = random_words(self.seed, counters).view(torch.uint8)
        return self._signs_of_byte[bytes_.int()].view(count, self.dim)


class FastJL:
    """Dense Rademacher by the CUDA library of the LESS scripts (package fast-jl, from TRAK).

    Its matrix depends on the number of multiprocessors of the GPU, which is therefore part of a feature's fingerprint.
    Each slice is given a seed of its own, so that the sum over slices is one dense projection of the whole gradient.
    """

    def __init__(self, dim: int, seed: int, device: torch.device) -> None:
        where = "features.projection.kind = fast-jl"
        if device.type != "cuda":
            raise ConfigError(where, "a CUDA device", str(device), "Use kind: rademacher, which runs everywhere.")
        try:
            import fast_jl
        except ImportError as error:
            do = "Run `pip install 'less-flow[fast-jl]' --no-build-isolation` with a CUDA compiler, or use kind: rademacher."
            raise ConfigError(where, "the package fast-jl", str(error), do) from None
        self.dim = dim
        self._seed = seed
        self._project = fast_jl.project_rademacher_8
        self._multiprocessors = multiprocessor_count(device)

    def add(self, out: Tensor, values: Tensor, start: int) -> None:
        seed = derive_seed(self._seed, "fast-jl", start) & 0x7FFFFFFF
        out.add_(self._project(values.contiguous(), self.dim, seed, self._multiprocessors), alpha=self.dim**-0.5)


def multiprocessor_count(device: torch.device) -> int:
    """Return the number of multiprocessors of a CUDA device."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
