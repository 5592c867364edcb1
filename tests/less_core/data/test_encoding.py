"""Token ids and labels: exact renderings, labels decoded back to the text that they cover, and the LESS scripts' own encoder."""

import json
import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

from less_core.data.encoding import EncodedExample, Encoder, label_mask, render_chat, render_tulu
from less_core.data.example import Example, Message
from less_core.errors import ConfigError, DataError

EOS = "<|im_end|>"
GENERATION_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>\\n' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LAST_USER_ONLY = "{% for m in messages[-2:] %}{{ m['content'] }}{% endfor %}"  # forgets earlier turns when one is added
RAISING = (
    "{% if messages|length > 2 %}{{ raise_exception('too many turns') }}{% endif %}{% for m in messages %}{{ m['content'] }}{% endfor %}"
)
DATA = Path(os.environ.get("LESS_DATA", Path(__file__).parents[4] / "shared" / "data"))


def talk(*turns: tuple[str, str]) -> Example:
    names = {"s": "system", "u": "user", "a": "assistant"}
    return Example(messages=tuple(Message(names[role], content) for role, content in turns))


MULTI_TURN = talk(("s", "be brief"), ("u", "red dog"), ("a", "blue cat"), ("u", "one\ntwo?"), ("a", "three  ünï 日本"))


def with_template(tokenizer: PreTrainedTokenizerFast, template: str | None) -> PreTrainedTokenizerFast:
    other = deepcopy(tokenizer)
    other.chat_template = template
    return other


def encode(tokenizer: PreTrainedTokenizerFast, example: Example, template: str = "tulu", max_length: int = 4096) -> EncodedExample:
    [encoded] = Encoder(tokenizer, template, max_length).encode([example])
    assert len(encoded.input_ids) == len(encoded.label_mask)
    return encoded


def labelled(tokenizer: PreTrainedTokenizerFast, encoded: EncodedExample) -> list[str]:
    """The text of each run of labelled tokens."""
    runs: list[list[int]] = []
    before = False
    for token, label in zip(encoded.input_ids, encoded.label_mask, strict=True):
        if label and not before:
            runs.append([])
        if label:
            runs[-1].append(token)
        before = label
    return [tokenizer.decode(run) for run in runs]


def test_tulu_renders_exactly_as_the_less_scripts() -> None:
    example = talk(("s", " be brief "), ("u", "\nred dog\n"), ("a", " blue cat "), ("u", "one"), ("a", "two"))
    text, spans = render_tulu(example.messages, "</s>")
    assert text == "<|system|>\nbe brief\n<|user|>\nred dog\n<|assistant|>\nblue cat</s>\n<|user|>\none\n<|assistant|>\ntwo</s>\n"
    assert [text[start:end] for start, end in spans] == ["blue cat</s>\n", "two</s>\n"]


def test_tulu_labels_cover_content_eos_and_newline_of_every_assistant_turn(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(tokenizer, MULTI_TURN)
    assert tokenizer.decode(encoded.input_ids) == render_tulu(MULTI_TURN.messages, EOS)[0]
    assert labelled(tokenizer, encoded) == [f"blue cat{EOS}\n", f"three  ünï 日本{EOS}\n"]


def test_chat_labels_cover_content_and_end_of_every_assistant_turn(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(tokenizer, MULTI_TURN, "chat")
    turns = [{"role": m.role, "content": m.content} for m in MULTI_TURN.messages]
    assert encoded.input_ids == tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert labelled(tokenizer, encoded) == [f"blue cat{EOS}\n", f"three  ünï 日本{EOS}\n"]


TEXT = st.text(st.sampled_from("ab é日🎉\n\t .?<|>1"), max_size=12)
TURNS = st.lists(st.tuples(TEXT, TEXT.filter(str.strip)), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(turns=TURNS, system=st.none() | TEXT)
def test_chat_labels_by_offsets_equal_the_marks_of_the_same_template(tokenizer, turns, system: str | None) -> None:
    example = talk(
        *([("s", system)] if system is not None else []), *[turn for user, answer in turns for turn in (("u", user), ("a", answer))]
    )
    marked = encode(with_template(tokenizer, GENERATION_CHATML), example, "chat")
    assert encode(tokenizer, example, "chat") == marked
    assert marked.num_label_tokens > 0


@settings(max_examples=100, deadline=None)
@given(turns=TURNS)
def test_tulu_labels_decode_to_the_stripped_answers(tokenizer, turns) -> None:
    encoded = encode(tokenizer, talk(*[turn for user, answer in turns for turn in (("u", user), ("a", answer))]))
    assert labelled(tokenizer, encoded) == [f"{answer.strip()}{EOS}\n" for _, answer in turns]


def test_encoding_of_a_batch_keeps_order_and_does_not_depend_on_the_batch(tokenizer: PreTrainedTokenizerFast) -> None:
    examples = [MULTI_TURN, Example(prompt="p ", completion="c"), talk(("u", "x"), ("a", "y")), MULTI_TURN]
    for template in (tokenizer.chat_template, GENERATION_CHATML):
        one = with_template(tokenizer, template)
        encoder = Encoder(one, "chat", 64)
        assert encoder.encode(examples) == [encode(one, example, "chat", 64) for example in examples]
        assert encoder.encode([]) == []


def test_prompt_and_completion_are_exact_strings_without_template(tokenizer: PreTrainedTokenizerFast) -> None:
    example = Example(prompt="<|user|>\n red dog\n<|assistant|>\n", completion=" blue  cat\n")
    for template in ("chat", "tulu"):
        encoded = encode(tokenizer, example, template)
        assert tokenizer.decode(encoded.input_ids) == example.prompt + example.completion
        assert labelled(tokenizer, encoded) == [" blue  cat\n"]


def test_prompt_and_completion_label_a_token_that_crosses_over_to_the_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(tokenizer, Example(prompt="re", completion="d dog"))
    assert tokenizer.decode(encoded.input_ids[:1]) == "red"
    assert labelled(tokenizer, encoded) == [" dog"]


def test_empty_prompt_labels_the_whole_completion_and_predicts_all_but_the_first(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(tokenizer, Example(completion="red dog cat"))
    assert all(encoded.label_mask)
    assert encoded.num_label_tokens == len(encoded.input_ids) - 1 > 0


def test_truncation_keeps_the_first_tokens_and_says_so(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encode(tokenizer, MULTI_TURN)
    n = len(whole.input_ids)
    assert not whole.truncated
    assert not encode(tokenizer, MULTI_TURN, max_length=n).truncated
    cut = encode(tokenizer, MULTI_TURN, max_length=n - 3)
    assert cut.truncated
    assert (cut.input_ids, cut.label_mask) == (whole.input_ids[:-3], whole.label_mask[:-3])


def test_prompt_that_fills_the_length_leaves_no_label(tokenizer: PreTrainedTokenizerFast) -> None:
    for template in ("tulu", "chat"):
        encoded = encode(tokenizer, talk(("u", "red dog " * 20), ("a", "cat")), template, max_length=16)
        assert encoded.truncated
        assert encoded.num_label_tokens == 0
    first_only = EncodedExample("x", [1, 2], [True, False], truncated=False)
    assert first_only.num_label_tokens == 0  # nothing before it to predict it from


@pytest.mark.parametrize("template", [LAST_USER_ONLY, RAISING, "{{ messages[0].nothing.there }}"])
def test_template_that_does_not_take_the_turns_is_a_data_error_with_the_example(tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    with pytest.raises(DataError, match=f"example {MULTI_TURN.example_id}: expected turns that the chat template takes"):
        encode(with_template(tokenizer, template), MULTI_TURN, "chat")


def test_generation_template_that_raises_is_a_data_error_too(tokenizer: PreTrainedTokenizerFast) -> None:
    template = "{% generation %}{% endgeneration %}{{ raise_exception('no') }}"
    with pytest.raises(DataError, match="TemplateError: no"):
        encode(with_template(tokenizer, template), MULTI_TURN, "chat")


def test_render_chat_refuses_a_template_that_rewrites_earlier_turns(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="changes earlier turns"):
        render_chat(with_template(tokenizer, LAST_USER_ONLY), [{"role": m.role, "content": m.content} for m in MULTI_TURN.messages])


def test_chat_without_a_template_is_a_config_error_and_auto_falls_back_to_tulu(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = with_template(tokenizer, None)
    with pytest.raises(ConfigError, match=r"model.template = chat: expected a tokenizer with a chat template"):
        Encoder(bare, "chat", 64)
    assert Encoder(bare, "auto", 64).template == "tulu"
    assert Encoder(tokenizer, "auto", 64).template == "chat"


def test_slow_tokenizer_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=f"expected a fast tokenizer, got {PreTrainedTokenizer.__name__}"):
        Encoder(PreTrainedTokenizer.__new__(PreTrainedTokenizer), "tulu", 64)


def test_encoding_fingerprint_depends_on_all_that_ids_and_labels_depend_on(tokenizer: PreTrainedTokenizerFast) -> None:
    longer = deepcopy(tokenizer)
    longer.add_tokens(["zzz"])
    other_eos = deepcopy(tokenizer)
    other_eos.eos_token = "<|endoftext|>"
    encoders = [Encoder(tokenizer, "chat", 64), Encoder(tokenizer, "tulu", 64), Encoder(tokenizer, "chat", 65)]
    encoders += [Encoder(other, "chat", 64) for other in (with_template(tokenizer, GENERATION_CHATML), longer, other_eos)]
    assert len({encoder.fingerprint for encoder in encoders}) == len(encoders)
    assert Encoder(deepcopy(tokenizer), "auto", 64).fingerprint == encoders[0].fingerprint


@pytest.mark.parametrize(
    ("offsets", "spans", "expected"),
    [
        ([(0, 2), (2, 4), (4, 6)], [(2, 4)], "010"),
        ([(0, 3), (3, 4), (4, 6)], [(2, 4)], "010"),  # a token that begins before belongs to the prompt
        ([(0, 2), (2, 5), (5, 6)], [(2, 4)], "010"),  # one that ends after does not
        ([(0, 0), (0, 2), (2, 4), (0, 0)], [(0, 4)], "0110"),  # special tokens stand at no place
        ([(0, 0), (0, 2), (2, 4), (0, 0)], [(2, 4)], "0010"),
        ([(0, 1), (1, 2), (1, 2), (2, 3)], [(1, 3)], "0111"),  # several tokens of one character
        ([(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 1), (2, 3)], "1010"),
        ([(0, 1), (1, 2)], [(1, 1), (1, 2)], "01"),
        ([(0, 1), (1, 2)], [], "00"),
        ([], [(0, 3)], ""),
    ],
)
def test_label_mask_of_offsets(offsets: list[tuple[int, int]], spans: list[tuple[int, int]], expected: str) -> None:
    assert "".join("1" if label else "0" for label in label_mask(offsets, spans)) == expected


def gpt2_style(*, trim: bool, special: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE with GPT-2's post-processor, or with RoBERTa's, which trims offsets and adds tokens at both ends."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator(["red blue green dog cat user assistant"], trainer)
    byte_level = processors.ByteLevel(trim_offsets=trim)
    pair = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    inner.post_processor = processors.Sequence([byte_level, pair]) if special else byte_level
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", bos_token="<s>")


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("trim", [False, True])
def test_labels_of_gpt2_style_tokenizers(trim: bool, special: bool) -> None:
    tokenizer = gpt2_style(trim=trim, special=special)
    encoded = encode(tokenizer, talk(("u", "red dog"), ("a", "blue  cat\nünï")))
    assert labelled(tokenizer, encoded) == ["blue  cat\nünï</s>\n"]
    assert (encoded.input_ids[0] == tokenizer.bos_token_id) is special
    exact = encode(tokenizer, Example(prompt="red", completion=" dog\n\n blue"))
    assert labelled(tokenizer, exact) == [" dog\n\n blue"]
    bare = encode(tokenizer, Example(completion="red dog"))
    assert labelled(tokenizer, bare) == ["red dog"]


def less_encode_messages(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], max_length: int) -> tuple[list[int], list[int]]:
    """LESS's encoder for training data, restated: a prefix tokenised by itself tells where labels begin and end."""

    def concatenate(turns: Sequence[Message]) -> str:
        return render_tulu(turns, tokenizer.eos_token)[0]

    def length(text: str) -> int:
        return len(tokenizer(text, max_length=max_length, truncation=True)["input_ids"])

    ids = tokenizer(concatenate(messages), max_length=max_length, truncation=True)["input_ids"]
    labels = list(ids)
    for number, message in enumerate(messages):
        if message.role == "assistant":
            continue
        start = length(concatenate(messages[:number])) if number else 0
        so_far = concatenate(messages[: number + 1])
        if number + 1 < len(messages) and messages[number + 1].role == "assistant":
            so_far += "<|assistant|>\n"
        end = length(so_far)
        labels[start:end] = [-100] * (end - start)
        if end >= max_length:
            break
    return ids, labels


def less_encode_target(tokenizer: PreTrainedTokenizerFast, prompt: str, completion: str, max_length: int) -> tuple[list[int], list[int]]:
    """LESS's encoder for target data, restated."""
    ids = tokenizer(prompt + completion, max_length=max_length, truncation=True)["input_ids"]
    prefix = len(tokenizer(prompt, max_length=max_length, truncation=True)["input_ids"])
    return ids, [-100] * prefix + ids[prefix:]


def rows(path: Path) -> list[dict]:
    lines = path.read_bytes().splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // 12)]]


FILES = sorted(DATA.glob("*/*.jsonl"))


@pytest.mark.skipif(not FILES, reason="the data folder is not here; set LESS_DATA")
@pytest.mark.parametrize("max_length", [512, 4096])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_encoding_of_real_rows_equals_the_less_scripts(tokenizer: PreTrainedTokenizerFast, path: Path, max_length: int) -> None:
    reference = deepcopy(tokenizer)
    compared = 0
    for row in rows(path):
        if "messages" in row:
            example = Example(messages=tuple(Message(m["role"], m["content"]) for m in row["messages"]))
            ids, labels = less_encode_messages(reference, example.messages, max_length)
        else:
            example = Example(prompt=row["prompt"], completion=row["completion"])
            ids, labels = less_encode_target(reference, row["prompt"], row["completion"], max_length)
        ours = encode(tokenizer, example, "tulu", max_length)
        assert ours.input_ids == ids
        assert [token if label else -100 for token, label in zip(ours.input_ids, ours.label_mask, strict=True)] == labels
        compared += 1
    assert compared > 7


def test_chat_labels_leave_out_the_header_of_an_assistant_turn_that_opens_the_conversation(tokenizer) -> None:
    text, spans = render_chat(tokenizer, [{"role": "assistant", "content": "red dog"}, {"role": "user", "content": "cat"}])
    assert [text[start:end] for start, end in spans] == ["red dog<|im_end|>\n"]
