"""Which of many texts, met one after the other, are nearly the same as one before."""

from datasketch import MinHash, MinHashLSH

from less_core.data.words import grams_of, words_of

HASHES = 128  # the estimate's standard error is at most 0.044
SHINGLE = 3  # words
FOUND = 0.99  # least chance that a pair right at the threshold is compared at all


class NearDuplicates:
    """Remembers the texts it accepted, and accepts those that are like none of them.

    Two texts are alike where the Jaccard similarity of their sets of three-word runs, estimated by MinHash, is at least `threshold`.
    Locality-sensitive hashing only finds whom to compare. The seed is fixed and the hash is SHA-1: the same texts in the same order
    give the same answers everywhere.

    Args:
        threshold: In (0, 1]. As it is held against an estimate, even at 1 long texts may be alike that differ in a word.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._index = MinHashLSH(num_perm=HASHES, params=_bands(threshold))
        self._empty = MinHash(num_perm=HASHES, seed=1)
        self._accepted: dict[str, MinHash] = {}

    def is_new(self, example_id: str, text: str) -> bool:
        """Return whether the text is like none that was accepted before, and if so accept it. A text without words always is."""
        grams = grams_of(words_of(text), SHINGLE)
        if not grams:
            return True
        signature = self._empty.copy()  # shares the permutations
        signature.update_batch([" ".join(gram).encode() for gram in grams])
        if any(self._accepted[other].jaccard(signature) >= self._threshold for other in self._index.query(signature)):
            return False
        self._index.insert(example_id, signature)
        self._accepted[example_id] = signature
        return True


def _bands(threshold: float) -> tuple[int, int]:
    """Return how many bands of how many rows find a pair at the threshold with a chance of `FOUND`: the fewest false candidates so."""
    rows = max((rows for rows in range(1, HASHES // 2 + 1) if 1 - (1 - threshold**rows) ** (HASHES // rows) >= FOUND), default=1)
    return HASHES // rows, rows
