"""Trains the heads in ../heads from GoEmotions over one of the embeddings, and measures them.

    python3 -m venv target/insight-venv
    target/insight-venv/bin/pip install -r crates/insight/training/requirements.txt
    target/insight-venv/bin/python crates/insight/training/train.py multilingual ../shared/eval/emotion-text
    target/insight-venv/bin/python crates/insight/training/train.py english ../shared/eval/emotion-text

Embeddings come from our own embedder (`--example embed`) and are kept under target/: remove them when it changes.
The heads over the English one go into ../heads/minilm. Everything is in closed form or converges to one optimum, so
that the same data gives the same heads. Whatever is chosen (the strength of a regression, thresholds, temperatures)
is chosen on the development set; the test set is only looked at to print figures.
"""

import pathlib
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADS = ROOT / "crates/insight/heads"
# Where the heads over an embedding go.
FOLDERS = {"multilingual": HEADS, "english": HEADS / "minilm"}
# How strongly the regression on 28 labels may be held back. It depends on how far apart an embedding's vectors are. The
# one of the multilingual heads, with which all figures were measured, stays.
RIDGES = {"multilingual": [1.0], "english": [0.3, 1.0, 3.0, 10.0, 30.0]}
CACHE = ROOT / "target/insight-eval"

# Which of GoEmotions' labels are what is worth knowing on a telephone. What is not named is neutral.
EMOTION = {
    "anger": ["anger"],
    "annoyance": ["annoyance", "disapproval", "disgust"],
    "disappointment": ["disappointment"],
    "confusion": ["confusion"],
    "worry": ["fear", "nervousness"],
    "sadness": ["sadness", "grief", "remorse", "embarrassment"],
    "gratitude": ["gratitude"],
    "joy": ["joy", "relief", "amusement", "excitement", "love", "admiration", "optimism", "pride"],
}
# GoEmotions' own grouping; ambiguous labels count as neutral.
SENTIMENT = {
    "negative": ["anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment", "fear",
                 "grief", "nervousness", "remorse", "sadness"],
    "positive": ["admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy",
                 "love", "optimism", "pride", "relief"],
}


def read(data, part, labels):
    """Texts and a matrix of zeros and ones."""
    rows = [line.split("\t") for line in (data / f"{part}.tsv").read_text().rstrip("\n").split("\n")]
    marks = np.zeros((len(rows), len(labels)))
    for n, row in enumerate(rows):
        marks[n, [int(label) for label in row[1].split(",")]] = 1
    return [row[0] for row in rows], marks


def embedded(model, part, texts):
    """What our embedder makes of the texts."""
    array = CACHE / f"goemotions-{model}-{part}.npy"
    if not array.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        lines = CACHE / f"goemotions-{part}.txt"
        lines.write_text("\n".join(texts) + "\n")
        command = ["cargo", "run", "--release", "-p", "sotto-insight", "--example", "embed", "--", model,
                   lines, array]
        subprocess.run(command, cwd=ROOT, check=True)
    return np.load(array).astype(np.float64)


def thresholds(probabilities, marks):
    """For every label, where its F1 is best."""
    found = []
    for p, y in zip(probabilities.T, marks.T):
        order = np.argsort(-p, kind="stable")
        hits = np.cumsum(y[order])
        f1 = 2 * hits / (np.arange(1, len(p) + 1) + y.sum())
        best = int(f1.argmax())
        found.append((p[order[best]] + p[order[min(best + 1, len(p) - 1)]]) / 2)
    return np.array(found)


def calibration_error(confidence, right):
    """The expected calibration error over ten bins of equal width, and the reliability curve."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    curve = [(confidence[bins == b].mean(), right[bins == b].mean(), int((bins == b).sum()))
             for b in range(10) if (bins == b).any()]
    return sum(abs(c - r) * n for c, r, n in curve) / len(confidence), curve


def export(folder, name, labels, limits, weights, offsets, softmax):
    """A head: an embedding in, one probability a label out."""
    labels_of = {"labels": ",".join(labels), "thresholds": ",".join(f"{t:.6f}" for t in limits)}
    nodes = [
        helper.make_node("Gemm", ["embedding", "weights", "offsets"], ["scores"]),
        helper.make_node(*(("Softmax",) if softmax else ("Sigmoid",)), ["scores"], ["probabilities"]),
    ]
    tensors = [onnx.numpy_helper.from_array(weights.astype(np.float32), "weights"),
               onnx.numpy_helper.from_array(offsets.astype(np.float32), "offsets")]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("embedding", floats, ["texts", weights.shape[0]])],
        [helper.make_tensor_value_info("probabilities", floats, ["texts", len(labels)])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, labels_of)
    onnx.checker.check_model(model)
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def curves(x, y, ridge):
    """Ridge regression, then a logistic curve for each label: weights, offsets, and how surprising the development set
    is by them."""
    mean, prior = x["train"].mean(0), y["train"].mean(0)
    centred = x["train"] - mean
    gram = centred.T @ centred + ridge * np.eye(centred.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y["train"] - prior))
    scores = (x["dev"] - mean) @ weights
    slope, shift = np.zeros(len(prior)), np.zeros(len(prior))
    for k in range(len(prior)):
        # Platt's scaling, on the development set.
        curve = LogisticRegression(C=1e3, max_iter=1000).fit(100 * scores[:, [k]], y["dev"][:, k])
        slope[k], shift[k] = 100 * curve.coef_[0, 0], curve.intercept_[0]
    scores = scores * slope + shift
    surprise = np.logaddexp(0, np.where(y["dev"] > 0, -scores, scores)).mean()
    return weights * slope, shift - mean @ weights * slope, surprise


def many_labels(folder, ridges, labels, x, y):
    """The 28 labels, any number of which may hold."""
    fitted = {ridge: curves(x, y, ridge) for ridge in ridges}
    ridge = min(fitted, key=lambda ridge: fitted[ridge][2])
    weights, offsets, _ = fitted[ridge]
    probability = {part: 1 / (1 + np.exp(-(x[part] @ weights + offsets))) for part in ("dev", "test")}
    limits = thresholds(probability["dev"], y["dev"])
    export(folder, "goemotions", labels, limits, weights, offsets, softmax=False)
    said = probability["test"] >= limits
    error, _ = calibration_error(probability["test"].ravel(), y["test"].ravel())
    print(f"goemotions: ridge {ridge}, macro-F1 {f1_score(y['test'], said, average='macro', zero_division=0):.4f}, "
          f"micro-F1 {f1_score(y['test'], said, average='micro'):.4f}, calibration error {error:.4f}")
    for label, f1 in zip(labels, f1_score(y["test"], said, average=None, zero_division=0)):
        print(f"  {label} {f1:.3f}")


def one_class(folder, name, classes, x, y):
    """One of several classes: logistic regression, with a temperature from the development set."""
    keep = {part: y[part] >= 0 for part in y}
    x, y = {part: x[part][keep[part]] for part in x}, {part: y[part][keep[part]] for part in y}
    # Of about unit size a dimension, the solver converges in a few dozen steps.
    mean, scale = x["train"].mean(0), 1 / x["train"].std()
    model = LogisticRegression(C=0.1, max_iter=500).fit((x["train"] - mean) * scale, y["train"])
    weights = model.coef_.T * scale
    offsets = model.intercept_ - mean @ weights
    score = {part: x[part] @ weights + offsets for part in ("dev", "test")}

    def probabilities(scores, temperature):
        scaled = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
        return scaled / scaled.sum(1, keepdims=True)

    def surprise(temperature):
        p = probabilities(score["dev"], temperature)
        return -np.log(p[np.arange(len(p)), y["dev"]] + 1e-12).mean()

    temperature = min(np.arange(0.5, 2.01, 0.01), key=surprise)
    p = probabilities(score["test"], temperature)
    said = p.argmax(1)
    export(folder, name, classes, np.zeros(len(classes)), weights / temperature, offsets / temperature, True)
    error, curve = calibration_error(p.max(1), said == y["test"])
    print(f"{name}: accuracy {(said == y['test']).mean():.4f}, "
          f"macro-F1 {f1_score(y['test'], said, average='macro'):.4f}, "
          f"temperature {temperature:.2f}, calibration error {error:.4f}")
    print("  sure / right / sentences: " + ", ".join(f"{c:.2f} / {r:.2f} / {n}" for c, r, n in curve))
    print("  rows: truth; columns: said; " + ", ".join(classes))
    for line in confusion_matrix(y["test"], said):
        print("  " + " ".join(f"{n:5d}" for n in line))


def main(model, data):
    folder = FOLDERS[model]
    folder.mkdir(exist_ok=True)
    labels = (data / "labels.txt").read_text().split()
    x, y = {}, {}
    for part in ("train", "dev", "test"):
        texts, y[part] = read(data, part, labels)
        x[part] = embedded(model, part, texts)
    many_labels(folder, RIDGES[model], labels, x, y)

    def column(group):
        return [labels.index(label) for label in group]

    # A text with one label of the set is that; with none, neutral; with several, it is left out.
    classes = [*EMOTION, "neutral"]
    emotion = {}
    for part, marks in y.items():
        groups = np.stack([marks[:, column(EMOTION[name])].any(1) for name in EMOTION], 1)
        count = groups.sum(1)
        emotion[part] = np.where(count == 1, groups.argmax(1), np.where(count == 0, len(EMOTION), -1))
    one_class(folder, "emotion", classes, x, emotion)

    sentiment = {}
    for part, marks in y.items():
        bad, good = (marks[:, column(SENTIMENT[name])].any(1) for name in ("negative", "positive"))
        sentiment[part] = np.where(bad & good, -1, np.where(bad, 0, np.where(good, 2, 1)))
    one_class(folder, "sentiment", ["negative", "neutral", "positive"], x, sentiment)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in FOLDERS:
        sys.exit(f"train.py {'|'.join(FOLDERS)} DATA")
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
