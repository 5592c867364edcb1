"""Target examples found in a pool: what is a copy, and what only looks like one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import outputs_by_hash_seed

from less_core.data.example import Example, Message
from less_core.data.overlap.copies import Copy, CopyFinder

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def invented(count: int, seed: int) -> list[str]:
    """Words that no two texts share but by chance."""
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=7)) for _ in range(count)]


def text(count: int, seed: int) -> str:
    return " ".join(invented(count, seed))


def conversation(question: str, answer: str = "yes") -> Example:
    return Example(messages=(Message("user", question), Message("assistant", answer)))


def rendered(question: str, answer: str) -> Example:
    return Example(
        prompt=f"<|user|>\nPlease answer the following question.\n\nQuestion: {question}\n<|assistant|>\nAnswer:", completion=f" {answer}"
    )


QUESTIONS = [text(30, seed) for seed in range(6)]
ANSWERS = [text(20, 100 + seed) for seed in range(6)]
TARGET = [rendered(question, answer) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]


@pytest.mark.parametrize("number", range(6))
def test_verbatim_copy_is_whole_whatever_stands_around_its_turns(number: int) -> None:
    finder = CopyFinder(TARGET)
    assert finder.find(TARGET[number]) == Copy(number, 1)
    assert finder.find(conversation(QUESTIONS[number], ANSWERS[number])) == Copy(number, 1)
    assert finder.find(conversation(f"Q: {QUESTIONS[number]}\nThink!", f"Sure. {ANSWERS[number]}")) == Copy(number, 1)


def test_copy_with_other_case_punctuation_and_line_breaks_is_whole() -> None:
    shouted = QUESTIONS[2].upper().replace(" ", ",\n")
    assert CopyFinder(TARGET).find(conversation(shouted, f"*{ANSWERS[2]}*")) == Copy(2, 1)


def test_copy_in_a_longer_text_is_whole() -> None:
    long = f"{text(400, 7)} {QUESTIONS[4]} {text(300, 8)} {ANSWERS[4]} {text(50, 9)}"
    assert CopyFinder(TARGET).find(conversation(long)) == Copy(4, 1)


def test_share_of_a_copy_is_that_of_its_runs_of_words() -> None:
    # 23 runs of eight words in the question, 13 in the answer; of the question's first 20 words, 13.
    found = CopyFinder(TARGET).find(conversation(" ".join(QUESTIONS[0].split()[:20]), text(20, 50)))
    assert found == Copy(0, 13 / 36)
    assert CopyFinder(TARGET).find(conversation(QUESTIONS[0], text(20, 50))) == Copy(0, 23 / 36)


def test_share_does_not_grow_with_repetition() -> None:
    assert CopyFinder(TARGET).find(conversation(QUESTIONS[0] + " " + QUESTIONS[0])) == Copy(0, 23 / 36)


def test_reworded_half_is_half_a_copy() -> None:
    words = text(200, 20).split()
    changed = words[:100] + invented(100, 21)
    found = CopyFinder([conversation(" ".join(words), text(8, 22))]).find(conversation(" ".join(changed)))
    assert found is not None
    assert 0.45 < found.share < 0.5


def test_rewording_every_eighth_word_leaves_no_copy() -> None:
    changed = [f"{word}x" if place % 8 == 7 else word for place, word in enumerate(QUESTIONS[0].split())]
    assert CopyFinder(TARGET).find(conversation(" ".join(changed), "no")) is None


def test_best_of_two_copies_is_found_and_of_equal_ones_the_earliest() -> None:
    finder = CopyFinder(
        [conversation(QUESTIONS[0], ANSWERS[0]), conversation(QUESTIONS[1], ANSWERS[1]), conversation(QUESTIONS[1], ANSWERS[1])]
    )
    assert finder.find(conversation(f"{QUESTIONS[0]}\n{QUESTIONS[1]}", ANSWERS[1])) == Copy(1, 1)


def test_template_alone_is_no_copy() -> None:
    finder = CopyFinder(TARGET)
    assert finder.find(rendered(text(30, 60), text(20, 61))) is None
    assert finder.find(conversation("Please answer the following question. Question: Answer:")) is None


def test_template_is_what_more_than_half_of_at_least_four_examples_share() -> None:
    shared, own = text(20, 70), [text(20, 80 + number) for number in range(4)]

    def found(examples: list[Example]) -> Copy | None:
        return CopyFinder(examples).find(conversation(shared))

    assert found([conversation(f"{shared} {own[n]}") for n in range(3)]) is not None
    assert found([conversation(f"{shared} {own[n]}") for n in range(4)]) is None
    assert found([conversation(f"{shared} {own[n]}" if n < 3 else own[n]) for n in range(4)]) is None
    assert found([conversation(f"{shared} {own[n]}" if n < 2 else own[n]) for n in range(4)]) is not None


def test_example_that_is_nothing_but_the_template_is_never_found() -> None:
    examples = [*TARGET, rendered("", "")]
    finder = CopyFinder(examples)
    assert finder.find(examples[-1]) is None
    assert finder.find(TARGET[3]) == Copy(3, 1)


def test_other_target_is_no_copy() -> None:
    assert CopyFinder(TARGET).find(rendered(text(30, 90), text(30, 91))) is None
    assert CopyFinder([]).find(TARGET[0]) is None


def test_seven_words_of_a_long_example_are_no_copy_and_eight_are() -> None:
    words = QUESTIONS[0].split()
    assert CopyFinder(TARGET).find(conversation(" ".join(words[3:10]))) is None
    assert CopyFinder(TARGET).find(conversation(" ".join(words[3:11]))) == Copy(0, 1 / 36)


@pytest.mark.parametrize("around", ["", f"{text(40, 5)} "])
def test_short_example_is_found_whole_by_all_its_words_or_not_at_all(around: str) -> None:
    finder = CopyFinder([conversation("What is two plus two?", "Four."), conversation(QUESTIONS[0], ANSWERS[0])])
    assert finder.find(conversation(f"{around}What is two plus two?", f"Four. {around}")) == Copy(0, 1)
    assert finder.find(conversation(f"{around}What is two plus two?", "Five.")) is None


@pytest.mark.parametrize(
    ("passage", "other"),
    [
        ("北京是中华人民共和国的首都和政治文化中心，位于华北平原的北部。", "上海是中国最大的城市，也是重要的经济和金融中心，靠近东海。"),
        ("กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย", "เชียงใหม่เป็นจังหวัดหนึ่งในภาคเหนือที่มีภูเขาสูงมากมาย"),
        ("東京は日本の首都であり、世界でも最も人口の多い都市の一つです。", "大阪は西日本の経済と文化の中心で、食べ物でも有名だ。"),
        (
            "दिल्ली भारत की राजधानी है और यह यमुना नदी के किनारे बसा हुआ बहुत पुराना शहर है",
            "मुंबई महाराष्ट्र राज्य में समुद्र के किनारे है और यहाँ बहुत सारी फ़िल्में बनती हैं",
        ),
        (
            "القاهرة هي عاصمة مصر وأكبر مدنها وتقع على ضفاف نهر النيل منذ قرون",
            "الرباط مدينة ساحلية جميلة في المغرب وفيها قصبة قديمة وأسواق كثيرة جدا",
        ),
    ],
    ids=["Chinese", "Thai", "Japanese", "Hindi", "Arabic"],
)
def test_copies_are_found_in_scripts_other_than_latin(passage: str, other: str) -> None:
    finder = CopyFinder([conversation(other, "x"), conversation(passage, "x")])
    assert finder.find(conversation(f"{text(20, 3)} {passage} {text(20, 4)}")) == Copy(1, 1)
    assert finder.find(conversation(text(30, 5))) is None


TOKENS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30)


def one_turn(words: list[str]) -> Example:
    return Example(messages=(Message("assistant", " ".join(words)),))


@settings(max_examples=150, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=3), TOKENS, st.integers(1, 4))
def test_share_equals_containment_counted_by_hand(targets: list[list[str]], pool: list[str], size: int) -> None:
    def runs(words: list[str], length: int) -> set[str]:
        return {" ".join(words[start : start + length]) for start in range(len(words) - length + 1)}

    shares = []
    for words in targets:
        length = min(size, len(words))
        shares.append(len(runs(words, length) & runs(pool, length)) / len(runs(words, length)))
    expected = Copy(shares.index(max(shares)), max(shares)) if max(shares) else None
    assert CopyFinder(list(map(one_turn, targets)), size).find(one_turn(pool)) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=6), TOKENS, TOKENS)
def test_text_around_never_lowers_a_share(targets: list[list[str]], pool: list[str], more: list[str]) -> None:
    finder = CopyFinder(list(map(one_turn, targets)), 3)
    alone, within = finder.find(one_turn(pool)), finder.find(one_turn([*more, *pool, *more]))
    assert alone is None or (within is not None and within.share >= alone.share)


def test_result_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from less_core.data.overlap.copies import CopyFinder; from less_core.data.example import Example;"
        "t = [Example(completion=' '.join(f'w{(i * j) % 23}' for i in range(40))) for j in range(1, 9)];"
        "print([CopyFinder(t[:5], 4).find(e) for e in t])"
    )
    outputs = outputs_by_hash_seed(code)
    assert len(outputs) == 1
    assert b"share=" in outputs.pop()
