"""Made-up data for `less-flow demo`: a small pool of eight skills, and a target that asks for one of them.

Every text is put together from the patterns and words of `less_core.demo.lexicon`, and every answer is computed or looked up,
so it is correct. This is a toy: real pools are far less tidy, and on this one counting shared words would find the skill too. It
shows that the whole path works and that the selection finds what it was asked for, not how good the method is on real data.

What keeps it from being trivial: each skill is asked for in several ways and answered in several styles; the lengths of the skills
overlap, so neither the shortest nor the longest examples are those of the target's skill; names and numbers occur in most skills;
and the target's word problems share no pattern, no name and no thing with those of the pool.

The pool file does not say which skill a row is of. The answer key is a file of its own, to count hits after the selection is made.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from less_core.demo import lexicon as lexicon
from less_core.errors import DataError

TARGET_SKILL = "arithmetic"

Slots = dict[str, str]
T = TypeVar("T")
_MOST_REPEATS = 1000  # draws in a row that give nothing new before a skill counts as used up


class DemoRow(NamedTuple):
    """One conversation of two messages, and the patterns that its prompt and its answer were made from."""

    skill: str
    phrasing: str
    style: str
    prompt: str
    answer: str

    def as_json(self) -> dict[str, Any]:
        """Return what a pool or target file holds of the row: the messages and nothing else."""
        return {"messages": [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.answer}]}


def demo_pool(seed: int = 0, per_skill: int = 40) -> list[DemoRow]:
    """Return `per_skill` rows of each skill, shuffled; no prompt occurs twice. The same on every machine and Python version.

    Raises:
        DataError: A skill cannot be varied that often (2000 of each is still possible), or `per_skill` is not positive.
    """
    if per_skill < 1:
        raise DataError("demo data", "a positive number of rows per skill", str(per_skill), "Ask for 40.")
    rows = [row for skill in _SLOTS for row in _rows_of(skill, seed, per_skill)]
    random.Random(f"{seed} order").shuffle(rows)
    return rows


def demo_target(seed: int = 0) -> list[DemoRow]:
    """Return six word problems with worked steps, none phrased like any of the pool."""
    return _stories(random.Random(f"{seed} target"))


def demo_held_out(seed: int = 0) -> list[DemoRow]:
    """Return 24 further problems of the target's stories, with other people and numbers."""
    rng = random.Random(f"{seed} held out")
    return [row for _ in range(4) for row in _stories(rng)]


def _stories(rng: random.Random) -> list[DemoRow]:
    style = "{first} {second} {end}"
    rows = []
    for story in lexicon.TARGET_STORIES:
        people = {slot: rng.choice(names) for slot, names in zip("xyz", lexicon.TARGET_PEOPLE, strict=True)}
        slots = _tell(rng, story, people)
        rows.append(DemoRow(TARGET_SKILL, story.text, style, slots["story"], style.format(**slots)))
    return rows


def write_demo_data(folder: Path, seed: int = 0, per_skill: int = 40) -> None:
    """Write `pool.jsonl`, `target.jsonl` and `held_out.jsonl` (rows of messages) and the answer key `skills.jsonl`.

    The key's rows are {"index": row of the pool, "skill": name}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool = demo_pool(seed, per_skill)
    _write_jsonl(folder / "pool.jsonl", (row.as_json() for row in pool))
    _write_jsonl(folder / "target.jsonl", (row.as_json() for row in demo_target(seed)))
    _write_jsonl(folder / "held_out.jsonl", (row.as_json() for row in demo_held_out(seed)))
    _write_jsonl(folder / "skills.jsonl", ({"index": index, "skill": row.skill} for index, row in enumerate(pool)))


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")


def _rows_of(skill: str, seed: int, count: int) -> list[DemoRow]:
    rng = random.Random(f"{seed} {skill}")  # of its own, so that a change to one skill leaves the others as they are
    asks, answers = lexicon.ASKS[skill], lexicon.ANSWERS[skill]
    rows: dict[str, DemoRow] = {}
    repeats = 0
    while len(rows) < count:
        ask = asks[len(rows) % len(asks)]  # in turn, so that a small pool has them all
        style, slots = rng.choice(answers), _SLOTS[skill](rng)
        row = DemoRow(skill, ask, style, ask.format(**slots), style.format(**slots))
        repeats = repeats + 1 if row.prompt in rows else 0
        if repeats > _MOST_REPEATS:
            raise DataError(f"demo data, skill {skill}", f"{count} different rows", f"only {len(rows)}", "Ask for fewer per skill.")
        rows.setdefault(row.prompt, row)
    return list(rows.values())


def _pick(rng: random.Random, items: Sequence[T], count: int) -> list[T]:
    """Return `count` different items in random order."""
    shuffled = list(items)
    rng.shuffle(shuffled)
    return shuffled[:count]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _numbered(lines: Iterable[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def _enumeration(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _calculate(op: str, left: int, right: int) -> int | None:
    """Return the result, or None where it is not a whole number of at least 2 (so that plurals are right)."""
    if op == "/" and left % right:
        return None
    result = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}[op]
    return result if result >= 2 else None


def _tell(rng: random.Random, story: lexicon.Story, people: Slots) -> Slots:
    """Draw numbers until both steps come out whole, and fill in the story, its steps and its result."""
    while True:
        a, b, c = (rng.randrange(low, high + 1) for low, high in story.ranges)
        middle = _calculate(story.ops[0], a, b)
        result = None if middle is None else _calculate(story.ops[1], middle, c)
        if result is not None:
            break
    slots = people | {"a": str(a), "b": str(b), "c": str(c), "result": str(result)}
    slots |= {"equation1": f"{a} {story.ops[0]} {b} = {middle}", "equation2": f"{middle} {story.ops[1]} {c} = {result}"}
    return slots | {
        "story": story.text.format(**slots),
        "first": story.first.format(**slots),
        "second": story.second.format(**slots),
        "end": story.end.format(**slots),
    }


def _arithmetic(rng: random.Random) -> Slots:
    person, other = _pick(rng, lexicon.PEOPLE, 2)
    people = {
        "name": person.first,
        "other": other.first,
        "he": person.pronoun,
        "things": rng.choice(lexicon.THINGS),
    }
    return _tell(rng, rng.choice(lexicon.STORIES), people)


def _sentiment(rng: random.Random) -> Slots:
    opening = rng.choice(list(lexicon.REVIEWS))
    aspects = _pick(rng, lexicon.REVIEWS[opening], rng.randrange(2, 5))
    label = rng.choice(("positive", "negative", "mixed"))
    liked = [label == "positive"] * len(aspects) if label != "mixed" else [True] + [False] * (len(aspects) - 1)
    rng.shuffle(liked)
    remarks = [aspect.good if good else aspect.bad for aspect, good in zip(aspects, liked, strict=True)]
    pros = _enumeration([aspect.noun for aspect, good in zip(aspects, liked, strict=True) if good])
    cons = _enumeration([aspect.noun for aspect, good in zip(aspects, liked, strict=True) if not good])
    reasons = {
        "positive": f"The writer is happy with {pros}.",
        "negative": f"The writer complains about {cons}.",
        "mixed": f"The writer likes {pros} but not {cons}.",
    }
    return {"review": " ".join([opening, *remarks]), "label": label, "reason": reasons[label], "remark": rng.choice(remarks)}


def _translation(rng: random.Random) -> Slots:
    (who, other), (what, other_what) = _pick(rng, lexicon.SUBJECTS, 2), _pick(rng, lexicon.PREDICATES, 2)
    when, link = rng.choice(lexicon.TIMES), rng.choice(lexicon.LINKS)
    english, french = f"{who.english} {what.english} {when.english}", f"{who.french} {what.french} {when.french}"
    note = lexicon.VERB_NOTE.format(**what._asdict())
    if rng.choice((True, False)):
        english += f" {link.english} {other.english} {other_what.english}"
        french += f" {link.french} {other.french} {other_what.french}"
        note += " " + lexicon.VERB_NOTE.format(**other_what._asdict())
    return {"english": _capitalized(english) + ".", "french": _capitalized(french) + ".", "note": note}


def _code(rng: random.Random) -> Slots:
    names = {"v": rng.choice(lexicon.LISTS), "n": str(rng.randrange(2, 10))}
    task = rng.choice(lexicon.PYTHON_TASKS)
    return {field: pattern.format(**names) for field, pattern in task._asdict().items()}


def _extraction(rng: random.Random) -> Slots:
    person, city = rng.choice(lexicon.PEOPLE), rng.choice(lexicon.CITIES)
    year, month, day = rng.randrange(1950, 2024), rng.randrange(1, 13), rng.randrange(1, 29)
    date = rng.choice(("{day} {month} {year}", "{month} {day}, {year}")).format(day=day, month=lexicon.MONTHS[month - 1], year=year)
    name = f"{person.first} {person.last}"
    facts = {"name": name, "city": city, "date": f"{year}-{month:02}-{day:02}"}
    sentence = rng.choice(lexicon.EVENTS).format(person=name, city=city, date=date)
    return {"sentence": sentence, "json": json.dumps(facts), "indented": json.dumps(facts, indent=2)}


def _sorting(rng: random.Random) -> Slots:
    kind = rng.choice(list(lexicon.WORDS))
    words = _pick(rng, lexicon.WORDS[kind], rng.randrange(4, 13))
    ordered = sorted(words)
    slots = {"kind": kind, "words": ", ".join(words), "first": ordered[0], "last": ordered[-1]}
    return slots | {"commas": ", ".join(ordered), "numbered": _numbered(ordered), "bullets": _bullets(ordered)}


def _email(rng: random.Random) -> Slots:
    names = {"to": rng.choice(lexicon.RECIPIENTS), "sender": rng.choice(lexicon.PEOPLE).first, "day": rng.choice(lexicon.DAYS)}
    matter = rng.choice(lexicon.MATTERS)
    return names | {
        "matter": matter.about.format(**names),
        "subject": matter.subject,
        "request": matter.request.format(**names),
        "reason": matter.reason,
    }


def _geography(rng: random.Random) -> Slots:
    country = rng.choice(lexicon.COUNTRIES)._asdict()
    facts = _pick(rng, lexicon.FACTS, rng.randrange(2, 5))
    sentences = [facts[0].named] + [fact.following for fact in facts[1:]]
    slots = {
        "questions": " ".join(fact.question for fact in facts),
        "sentences": " ".join(sentences),
        "short": ", ".join(fact.short for fact in facts),
        "numbered": _numbered(fact.short for fact in facts),
    }
    return {"country": country["country"]} | {slot: pattern.format(**country) for slot, pattern in slots.items()}


_SLOTS: dict[str, Callable[[random.Random], Slots]] = {
    "arithmetic": _arithmetic,
    "sentiment": _sentiment,
    "translation": _translation,
    "code": _code,
    "extraction": _extraction,
    "sorting": _sorting,
    "email": _email,
    "geography": _geography,
}
