"""The rows of the built-in targets: the exact strings that the LESS scripts give to the tokenizer, and what an evaluation needs."""

import re
from string import ascii_uppercase
from typing import Any, NamedTuple

from less_core.data.builtin.answers import final_number, short_answer
from less_core.data.builtin.row_parts import MEND
from less_core.data.rows.shapes import BadRowError

VERSION = 1  # of what a row is made of; to be raised when the same files come to give other rows

Rendered = dict[str, Any]
_CALCULATOR = re.compile(r"<<.*?>>")


class Wording(NamedTuple):
    """What stands around the parts of a tydiqa example, in its language."""

    instruction: str
    passage: str
    question: str
    answer: str


WORDINGS = {
    "arabic": Wording("أجب على السؤال التالي بناءً على المعلومات في المقطع المعطى.", "المقطع:", "السؤال:", "الإجابة:"),
    "bengali": Wording("প্রদত্ত অধ্যায়ের তথ্যের উপর ভিত্তি করে নিম্নলিখিত প্রশ্নের উত্তর দিন।", "অধ্যায়:", "প্রশ্ন:", "উত্তর:"),
    "english": Wording("Answer the following question based on the information in the given passage.", "Passage:", "Question:", "Answer:"),
    "finnish": Wording("Vastaa seuraavaan kysymykseen annetun kappaleen tiedon perusteella.", "Kappale:", "Kysymys:", "Vastaus:"),
    "indonesian": Wording("Jawab pertanyaan berikut berdasarkan informasi di bagian yang diberikan.", "Bagian:", "Pertanyaan:", "Jawaban:"),
    "korean": Wording("주어진 문단의 정보에 기반하여 다음 질문에 답하십시오.", "문단:", "질문:", "답변:"),
    "russian": Wording("Ответьте на следующий вопрос на основе информации в данном отрывке.", "Отрывок:", "Вопрос:", "Ответ:"),
    "swahili": Wording("Jibu swali lifuatalo kulingana na habari kwenye kifungu kilichotolewa.", "Kifungu:", "Swali:", "Jibu:"),
    "telugu": Wording("ఇచ్చిన పేరాలోని సమాచారం ఆధారంగా కింది ప్రశ్నకు సమాధానం ఇవ్వండి.", "పేరా:", "ప్రశ్న:", "సమాధానం:"),
}


def mmlu_row(subject: str, question: str, choices: list[str], answer: str) -> Rendered:
    """Return the row of a question with two to 26 choices; `answer` is the letter of the right one.

    Raises:
        BadRowError: It is not.
    """
    if len(choices) < 2 or answer not in list(ascii_uppercase[: len(choices)]):
        got = f"{len(choices)} choices and the answer {answer[:20]!r}"
        raise BadRowError("a question, at least two choices and the letter of the right one", got, MEND)
    listed = "".join(f"\n{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    # Two blanks after "about", as in the LESS scripts.
    topic = f"The following are multiple choice questions (with answers) about  {subject.replace('_', ' ')}."
    return {
        "subtask": subject,
        "prompt": f"<|user|>\n{topic}\n\n{question}{listed}\nAnswer:\n<|assistant|>\nThe answer is:",
        "completion": f" {answer}",
        "question": question,
        "choices": choices,
        "answer": answer,
    }


def bbh_rows(task: str, instruction: str, exemplars: list[tuple[str, str]]) -> list[Rendered]:
    """Return a row for each exemplar in turn, with the others before it. An exemplar is `Q: ...` and what follows `A:`.

    Raises:
        BadRowError: There is none, or one has no answer.
    """
    if not exemplars or not all(answer.strip() for _, answer in exemplars):
        do = "Put a blank line before each `Q:`, and its `A:` on a line below."
        raise BadRowError("exemplars `Q: ...` and `A: ...`", f"{len(exemplars)} questions, not all with an answer", do)
    head = f"{instruction.strip()}\n\n" if instruction.strip() else ""
    rows = []
    for number, (question, answer) in enumerate(exemplars):
        others = "".join(f"{q}\nA:{a}\n\n" for q, a in exemplars[:number] + exemplars[number + 1 :])
        rows.append(
            {
                "subtask": task,
                "prompt": f"<|user|>\n{head}{others}{question}\n<|assistant|>\nA:",
                "completion": answer,
                "question": question.removeprefix("Q:").strip(),
                "answer": short_answer(answer),
            }
        )
    return rows


def tydiqa_row(language: str, context: str, question: str, answers: list[str]) -> Rendered:
    """Return the row of a question on a passage; the completion is the first answer.

    Raises:
        BadRowError: The language is none of `WORDINGS`, or there is no answer.
    """
    if language not in WORDINGS:
        raise BadRowError(f"one of the languages {', '.join(WORDINGS)}", repr(language)[:40], "Leave it out.")
    if not answers or not answers[0].strip():
        raise BadRowError("an answer with text", "none", MEND)
    wording = WORDINGS[language]
    asked = f"{wording.instruction}{wording.passage} {context}\n{wording.question} {question}"
    return {
        "subtask": language,
        "prompt": f"<|user|>\n{asked}\n<|assistant|>\n{wording.answer}",
        "completion": f" {answers[0]}",
        "question": question,
        "answers": answers,
    }


def gsm8k_row(question: str, answer: str) -> Rendered:
    """Return the row of a word problem and its worked answer. LESS has no such target; the prompt is that of its evaluation.

    Raises:
        BadRowError: The answer has no number.
    """
    worked = _CALCULATOR.sub("", answer)
    if not (number := final_number(worked)):
        raise BadRowError("an answer with a number", repr(answer[-40:]), MEND)
    return {
        "subtask": "gsm8k",
        "prompt": f"<|user|>\nAnswer the following question.\n\nQuestion: {question}\n<|assistant|>\nAnswer:",
        "completion": f" {worked}",
        "question": question,
        "answer": number,
    }
