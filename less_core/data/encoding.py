"""From a conversation to token ids and the mask of those that carry a label: the assistant's.

A chat template that marks the assistant's tokens itself (``{% generation %}``) is believed. Else text is rendered whole,
tokenised once, and labels are found by character offsets: a prefix tokenised by itself can end in the middle of a token of the
whole. What a template adds to end an assistant turn carries a label, as in the LESS scripts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from less_core.data.example import Example, Message
from less_core.errors import ConfigError, DataError
from less_core.files.fingerprint import fingerprint

VERSION = 1  # of the rendering and labelling below

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")  # a template that marks the assistant's tokens itself

Span = tuple[int, int]


@dataclass(frozen=True)
class EncodedExample:
    """Token ids [length] and whether each carries a label [length]; `truncated` where the longest length cut it."""

    example_id: str
    input_ids: list[int]
    label_mask: list[bool]
    truncated: bool

    @property
    def num_label_tokens(self) -> int:
        """Labels that are predicted: the first token has nothing before it to predict it from."""
        return sum(self.label_mask[1:])


@dataclass(frozen=True)
class _Rendered:
    text: str
    spans: list[Span]  # of characters that carry a label
    special_tokens: bool  # whether the tokenizer adds its own


class Encoder:
    """Encodes examples for one tokenizer, template and longest length.

    Args:
        tokenizer: A fast Hugging Face tokenizer.
        template: auto, chat or tulu.
        max_length: Tokens kept of an example.

    Raises:
        ConfigError: The tokenizer cannot give offsets, or has no chat template where one was asked for.
    """

    def __init__(self, tokenizer: Any, template: str, max_length: int) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(
                "model.path", "a fast tokenizer", type(tokenizer).__name__, "Save it with a tokenizer.json; labels need offsets."
            )
        if template == "chat" and not tokenizer.chat_template:
            raise ConfigError(
                "model.template = chat", "a tokenizer with a chat template", "none", "Use template: tulu, or add a chat template."
            )
        self.tokenizer = tokenizer
        self.template = ("chat" if tokenizer.chat_template else "tulu") if template == "auto" else template
        self.max_length = max_length
        tokenizer.model_max_length = 10**9  # examples are cut here, and counted; no warning a row

    @property
    def fingerprint(self) -> str:
        """The address of everything that token ids and labels depend on, the text itself left out."""
        return fingerprint(
            {
                "version": VERSION,
                "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
                "special_tokens": {name: str(token) for name, token in self.tokenizer.special_tokens_map.items()},
                "template": self.tokenizer.chat_template if self.template == "chat" else "tulu",
                "max_length": self.max_length,
            }
        )

    def encode(self, examples: Sequence[Example]) -> list[EncodedExample]:
        """Encode a batch, in order.

        Raises:
            DataError: The chat template does not take an example's turns; names the example.
        """
        if self.template == "chat" and GENERATION.search(self.tokenizer.chat_template):
            marked = [example for example in examples if example.messages]
            by_id = {example.example_id: self._encode_marked(example) for example in marked}
            by_id |= {e.example_id: e for e in self._encode_rendered([x for x in examples if not x.messages])}
            return [by_id[example.example_id] for example in examples]
        return self._encode_rendered(examples)

    def _encode_rendered(self, examples: Sequence[Example]) -> list[EncodedExample]:
        rendered = [self._render(example) for example in examples]
        masks: dict[int, tuple[list[int], list[bool]]] = {}
        for special_tokens in (False, True):
            places = [i for i, r in enumerate(rendered) if r.special_tokens is special_tokens]
            if not places:
                continue
            texts = [rendered[i].text for i in places]
            batch = self.tokenizer(texts, add_special_tokens=special_tokens, return_offsets_mapping=True, return_attention_mask=False)
            for i, ids, offsets in zip(places, batch["input_ids"], batch["offset_mapping"], strict=True):
                masks[i] = ids, label_mask(offsets, rendered[i].spans)
        return [self._cut(example, *masks[i]) for i, example in enumerate(examples)]

    def _encode_marked(self, example: Example) -> EncodedExample:
        try:
            out = self.tokenizer.apply_chat_template(_turns(example), tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        except Exception as error:  # a template raises whatever it likes
            raise _template_error(example, error) from error
        return self._cut(example, list(out["input_ids"]), [bool(bit) for bit in out["assistant_masks"]])

    def _cut(self, example: Example, ids: list[int], mask: list[bool]) -> EncodedExample:
        n = self.max_length
        return EncodedExample(example.example_id, ids[:n], mask[:n], truncated=len(ids) > n)

    def _render(self, example: Example) -> _Rendered:
        if not example.messages:
            text = example.prompt + example.completion
            return _Rendered(text, [(len(example.prompt), len(text))], special_tokens=True)
        if self.template == "tulu":
            text, spans = render_tulu(example.messages, self.tokenizer.eos_token or "")
            return _Rendered(text, spans, special_tokens=True)
        text, spans = self._render_chat(example)
        return _Rendered(text, spans, special_tokens=False)  # a chat template writes its own

    def _render_chat(self, example: Example) -> tuple[str, list[Span]]:
        try:
            # Each turn renders all before it again. None is less than a token: what follows so many is cut off anyway.
            return render_chat(self.tokenizer, _turns(example)[: self.max_length + 1])
        except Exception as error:  # a template raises whatever it likes
            raise _template_error(example, error) from error


def _turns(example: Example) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in example.messages]


def _template_error(example: Example, error: Exception) -> DataError:
    do = "Use template: tulu, or drop the row."
    return DataError(f"example {example.example_id}", "turns that the chat template takes", f"{type(error).__name__}: {error}"[:200], do)


def render_tulu(messages: Sequence[Message], eos_token: str) -> tuple[str, list[Span]]:
    """Return the rendering of the LESS scripts and the spans that follow ``<|assistant|>\\n``, end token and last newline included."""
    text, spans = "", []
    for message in messages:
        text += f"<|{message.role}|>\n"
        start = len(text)
        text += message.content.strip() + (eos_token if message.role == "assistant" else "") + "\n"
        if message.role == "assistant":
            spans.append((start, len(text)))
    return text, spans


def render_chat(tokenizer: Any, turns: list[dict[str, str]]) -> tuple[str, list[Span]]:
    """Return the chat template's rendering and the assistant's spans: what it gains from a turn over the turns before it and
    the generation prompt.

    Raises:
        ValueError: The template renders earlier turns anew when a turn follows, so that spans cannot be told.
    """
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    spans = []
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant":
            after = tokenizer.apply_chat_template(turns[: number + 1], tokenize=False)
            if number:
                before = tokenizer.apply_chat_template(turns[:number], tokenize=False, add_generation_prompt=True)
            else:
                before = _before_first(tokenizer, after)
            if not (after.startswith(before) and text.startswith(after)):
                raise ValueError("a template that changes earlier turns when a turn is added")
            spans.append((len(before), len(after)))
    return text, spans


def _before_first(tokenizer: Any, rendered: str) -> str:
    """Return what stands before the text of an assistant turn that opens a conversation: templates render no empty one to compare with."""
    question = [{"role": "user", "content": "?"}]
    asked = tokenizer.apply_chat_template(question, tokenize=False)
    header = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True).removeprefix(asked)
    return rendered[: rendered.find(header) + len(header)] if header and header in rendered else ""


def label_mask(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """Return for each token whether it lies in a span. A token that begins before its span belongs to the prompt."""
    mask = [False] * len(offsets)
    token = 0
    for start, end in spans:
        while token < len(offsets) and (offsets[token][0] < start or offsets[token][1] <= start):
            token += 1
        while token < len(offsets) and offsets[token][0] < end:
            mask[token] = offsets[token][1] > start
            token += 1
    return mask
