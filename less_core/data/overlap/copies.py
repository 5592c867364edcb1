"""Target examples that stand in a pool: whole, in part, or in a longer text."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from less_core.data.example import Example
from less_core.data.words import Gram, grams_of, parts_of, plain_text, words_of

TEMPLATE_RUN = 4  # words: shorter ones are common without a template
TEMPLATE_EXAMPLES = 4  # a target of fewer has no template: what two of three share may well be what was copied

Words = list[str]


@dataclass(frozen=True)
class Copy:
    """Which target example is copied, by its place among the target's, and the share of it that is: in (0, 1]."""

    example: int
    share: float


class CopyFinder:
    """Finds, for a pool example, the target example that it copies most of.

    The share is containment: of the target example's distinct runs of `size` words, those that the pool example holds. What a copy in
    other clothes need not hold does not count: words of runs that stand in more than half of the target's examples (its template), and
    runs across turns. A target example without a run of `size` words is one run of all its words; one of nothing but the template is
    never found.

    Args:
        examples: The target's.
        size: Words a run.
    """

    def __init__(self, examples: Sequence[Example], size: int = 8) -> None:
        grams = [_grams(segments, size) for segments in _without_template([_words(example) for example in examples], size)]
        self._totals = [len(distinct) for distinct in grams]
        self._holders: dict[Gram, list[int]] = defaultdict(list)
        for number, distinct in enumerate(grams):
            for gram in distinct:
                self._holders[gram].append(number)
        # A short example is looked for at its own length, or it would not be found in a longer text.
        self._sizes = sorted({len(gram) for gram in self._holders})

    def find(self, example: Example) -> Copy | None:
        """Return the copy of the largest share, of equal ones the earliest in the target; None where nothing is copied."""
        words = words_of(plain_text(example))
        # A set over all sizes: a short text is one and the same run at several of them.
        grams = {gram for size in self._sizes for gram in self._holders.keys() & grams_of(words, size)}
        held = Counter(chain.from_iterable(self._holders[gram] for gram in grams))
        if not held:
            return None
        share, number = max((count / self._totals[number], -number) for number, count in held.items())
        return Copy(-number, share)


def _words(example: Example) -> list[Words]:
    return [words_of(part) for part in parts_of(example)]


def _grams(segments: list[Words], size: int) -> set[Gram]:
    long = [segment for segment in segments if len(segment) >= size]
    return set(chain.from_iterable(grams_of(segment, size) for segment in long or [list(chain.from_iterable(segments))]))


def _without_template(examples: list[list[Words]], size: int) -> list[list[Words]]:
    """Return each example's parts, cut where the template stands."""
    run = min(TEMPLATE_RUN, size)
    if len(examples) < TEMPLATE_EXAMPLES:
        return examples
    standing = Counter(chain.from_iterable({gram for words in parts for gram in grams_of(words, run)} for parts in examples))
    template = {gram for gram, count in standing.items() if count > len(examples) / 2}
    return [[segment for words in parts for segment in _cut(words, template, run)] for parts in examples]


def _cut(words: Words, template: set[Gram], run: int) -> Iterator[Words]:
    in_template = [False] * len(words)
    for start in range(max(1, len(words) - run + 1)):
        gram = tuple(words[start : start + run])
        if gram in template:
            in_template[start : start + len(gram)] = [True] * len(gram)
    for is_template, places in groupby(range(len(words)), key=in_template.__getitem__):
        if not is_template:
            yield [words[place] for place in places]
