"""Makes ../tests/cross-encoder: a cross-encoder as Hugging Face exports them, small enough to be read whole.

    python3 crates/insight/training/tiny_cross_encoder.py

Its logit is how many pairs of the same token there are, one in the question and one in the passage, less one. It is written
as protocol buffers by hand (onnx.proto, field by field), so it needs nothing but Python.
"""

import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tests/cross-encoder"
POSITIONS = 66
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["refund", "lesson", "card", "days", "three", "teacher", "بازگشت", "وجه"]
FLOAT, INT64 = 1, 7


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, value):
    """A field: whole numbers as they are, everything else with its length before it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(kind, inputs, output, **attributes):
    out = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, value in attributes.items():
        out += field(5, field(1, name) + field(3, value) + field(20, 2))
    return field(1, out)


def tensor(name, kind, dims, raw):
    return field(5, b"".join(field(1, dim) for dim in dims) + field(2, kind) + field(8, name) + field(9, raw))


def value(number, name, kind, dims):
    shape = b"".join(field(1, field(2, dim) if isinstance(dim, str) else field(1, dim)) for dim in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, kind) + field(2, shape))))


def model():
    axes = {"row": [1], "column": [2], "both": [1, 2]}
    texts = ["batch_size", "sequence_length"]
    graph = b"".join([
        node("Unsqueeze", ["input_ids", "column"], "down"),
        node("Unsqueeze", ["input_ids", "row"], "across"),
        node("Equal", ["down", "across"], "same"),
        node("Cast", ["same"], "matches", to=FLOAT),
        node("Cast", ["token_type_ids"], "types", to=FLOAT),
        node("Unsqueeze", ["types", "column"], "of_passage"),
        node("Unsqueeze", ["types", "row"], "types_across"),
        node("Sub", ["one", "types_across"], "of_question"),
        node("Mul", ["of_passage", "of_question"], "pairs"),
        node("Mul", ["matches", "pairs"], "shared"),
        node("ReduceSum", ["shared", "both"], "counts", keepdims=0),
        node("Sub", ["counts", "one"], "fewer"),
        node("Unsqueeze", ["fewer", "row"], "logits"),
        field(2, "tiny"),
        *(tensor(name, INT64, [len(of)], struct.pack(f"<{len(of)}q", *of)) for name, of in axes.items()),
        tensor("one", FLOAT, [], struct.pack("<f", 1.0)),
        *(value(11, name, INT64, texts) for name in ("input_ids", "token_type_ids")),
        value(12, "logits", FLOAT, ["batch_size", 1]),
    ])
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def tokenizer():
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *WORDS])}
    special = [{"id": vocabulary[word], "content": word, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for word in SPECIAL]
    text = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    end = lambda kind: {"SpecialToken": {"id": "[SEP]", "type_id": kind}}
    begin = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    around = {"single": [begin, text("A", 0), end(0)], "pair": [begin, text("A", 0), text("B", 1)],
              "special_tokens": {word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
                                 for word in ("[CLS]", "[SEP]")}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {"type": "TemplateProcessing", **around}, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "tiny", "max_position_embeddings": POSITIONS}
    for name, content in (("config.json", config), ("tokenizer.json", tokenizer())):
        (FOLDER / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    (FOLDER / "model.onnx").write_bytes(model())


if __name__ == "__main__":
    main()
