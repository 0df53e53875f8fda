"""Makes ../tests/classifier: a text classifier as Hugging Face exports them, small enough to be read whole.

    target/insight-venv/bin/python crates/insight/training/tiny_classifier.py

It knows a few words. A text's logits are the sum of its tokens' rows, over the tokens that `attention_mask` keeps. As
in RoBERTa, positions begin at 2 and are looked up in a table of `max_position_embeddings` rows.
"""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tests/classifier"
LABELS = ["Negative", "neutral", "POSITIVE"]
POSITIONS = 66
SPECIAL = {"[PAD]": [0, 0, 0], "[UNK]": [0, 0.1, 0], "[CLS]": [0, 1, 0], "[SEP]": [0, 0, 0], "[MASK]": [50, 0, 0]}
WORDS = {
    "good": [0, 0, 4], "thank": [0, 0, 4], "thanks": [0, 0, 4], "bad": [4, 0, 0], "awful": [8, 0, 0],
    "disappointed": [8, 0, 0], "خوب": [0, 0, 4], "بد": [4, 0, 0],
}


def tokenizer():
    vocabulary = {word: n for n, word in enumerate([*SPECIAL, *WORDS])}
    special = [{"id": vocabulary[word], "content": word, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for word in SPECIAL]
    around = {"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                         {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
              "special_tokens": {word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
                                 for word in ("[CLS]", "[SEP]")}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {"type": "TemplateProcessing", **around}, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}}


def model():
    rows = np.array([*SPECIAL.values(), *WORDS.values()], np.float32)
    tensors = {"rows": rows, "positions": np.zeros((POSITIONS, len(LABELS)), np.float32),
               "first": np.array(2, np.int64), "one": np.array(1, np.int64), "axis": np.array([1], np.int64),
               "last": np.array([2], np.int64)}
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["words"]),
        helper.make_node("Shape", ["input_ids"], ["length"], start=1, end=2),
        helper.make_node("Squeeze", ["length"], ["tokens"]),
        helper.make_node("Add", ["tokens", "first"], ["end"]),
        helper.make_node("Range", ["first", "end", "one"], ["places"]),
        helper.make_node("Gather", ["positions", "places"], ["placed"]),
        helper.make_node("Add", ["words", "placed"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["columns"]),
        helper.make_node("Mul", ["embedded", "columns"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["logits"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch_size", "sequence_length"])
              for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", len(LABELS)])]
    initial = [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "tiny", "max_position_embeddings": POSITIONS,
              "id2label": {str(n): label for n, label in enumerate(LABELS)}}
    for name, content in (("config.json", config), ("tokenizer.json", tokenizer())):
        (FOLDER / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    (FOLDER / "model.onnx").write_bytes(model())


if __name__ == "__main__":
    main()
