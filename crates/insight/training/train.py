"""Trains the heads in ../heads over one of the embeddings, measures them, and writes the figures into the model card.

    python3 -m venv target/insight-venv
    target/insight-venv/bin/pip install -r crates/insight/training/requirements.txt
    target/insight-venv/bin/python crates/insight/training/train.py multilingual DATA
    target/insight-venv/bin/python crates/insight/training/train.py english DATA

Without the folder DATA, which has GoEmotions, only the head for urgency is trained: its sentences are in ../data.

Embeddings come from our own embedder (`--example embed`) and are kept under target/: remove them when it changes.
The heads over the English one go into ../heads/minilm; ../build.rs finds whatever has been trained. Everything is in
closed form or converges to one optimum, so that the same data gives the same heads. Whatever is chosen (the strength
of a regression, thresholds, temperatures) is chosen on the development set, or on held-out folds of what is learned
from; the test set is only looked at to print figures.
"""

import csv
import hashlib
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score
from sklearn.model_selection import GroupKFold

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADS = ROOT / "crates/insight/heads"
CARD = HEADS / "MODEL_CARD.md"
OURS = ROOT / "crates/insight/data"
# Where the heads over an embedding go.
FOLDERS = {"multilingual": HEADS, "english": HEADS / "minilm"}
# What an embedding understands of the languages that there are sentences of ours in.
LANGUAGES = {"multilingual": {"en": "English", "fa": "Persian"}, "english": {"en": "English"}}
# How strongly the regression on 28 labels may be held back. It depends on how far apart an embedding's vectors are. The
# one of the multilingual heads, with which all figures were measured, stays.
RIDGES = {"multilingual": [1.0], "english": [0.3, 1.0, 3.0, 10.0, 30.0]}
# The same of the regression on urgency, scikit-learn's C: the smaller, the more.
STRENGTHS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
TEMPERATURES = np.arange(0.3, 3.01, 0.01)
# Of what is said to be urgent, so much has to be: an agent who is told of it in vain stops looking.
PRECISION = 0.95
CACHE = ROOT / "target/insight-eval"
# Which of GoEmotions' labels make up the classes that are worth knowing on a telephone.
CLASSES = tomllib.loads((OURS / "goemotions.toml").read_text())


def read(data, part, labels):
    """Texts and a matrix of zeros and ones."""
    rows = [line.split("\t") for line in (data / f"{part}.tsv").read_text().rstrip("\n").split("\n")]
    marks = np.zeros((len(rows), len(labels)))
    for n, row in enumerate(rows):
        marks[n, [int(label) for label in row[1].split(",")]] = 1
    return [row[0] for row in rows], marks


def classes_of(marks, labels, classes):
    """The class of every text: the one that it has labels of, neutral where there is none, -1 where there are several."""
    has = np.stack([marks[:, [labels.index(label) for label in of]].any(1) for of in classes.values()], 1)
    neutral = list(classes).index("neutral")
    return np.where(has.sum(1) == 1, has.argmax(1), np.where(has.any(1), -1, neutral))


def embedded(model, texts):
    """What our embedder makes of the texts."""
    written = "\n".join(texts) + "\n"
    name = hashlib.sha256(written.encode()).hexdigest()[:16]
    array = CACHE / f"{model}-{name}.npy"
    if not array.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        lines = CACHE / f"{name}.txt"
        lines.write_text(written)
        command = ["cargo", "run", "--release", "-p", "sotto-insight", "--example", "embed", "--", model,
                   lines, array]
        subprocess.run(command, cwd=ROOT, check=True)
    return np.load(array).astype(np.float64)


def sigmoid(scores):
    return 1 / (1 + np.exp(-scores))


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


def table(*rows):
    """Markdown; the first row is the heading."""
    first, *others = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join([first, f"|{' --- |' * len(rows[0])}", *others])


def reliability(curve):
    """What `calibration_error` found, for the card."""
    columns = [["said", "right", "sentences"], *([f"{c:.2f}", f"{r:.2f}", n] for c, r, n in curve)]
    return "How sure it was, and how often it was right:\n\n" + table(*zip(*columns))


def write_figures(model, name, figures):
    """Prints the figures of a head, and puts them where the model card has those of the last time."""
    print(f"{name} over {model}\n\n{figures}\n")
    begin, end = f"<!-- figures: {model} {name} -->", "<!-- end -->"
    card = CARD.read_text()
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(card):
        sys.exit(f"{CARD} has no place for the figures of {name} over {model}")
    CARD.write_text(place.sub(lambda _: f"{begin}\n{figures}\n{end}", card, count=1))


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
    """The 28 labels, any number of which may hold. Gives the figures."""
    fitted = {ridge: curves(x, y, ridge) for ridge in ridges}
    ridge = min(fitted, key=lambda ridge: fitted[ridge][2])
    weights, offsets, _ = fitted[ridge]
    probability = {part: sigmoid(x[part] @ weights + offsets) for part in ("dev", "test")}
    limits = thresholds(probability["dev"], y["dev"])
    export(folder, "goemotions", labels, limits, weights, offsets, softmax=False)
    said = probability["test"] >= limits
    error, _ = calibration_error(probability["test"].ravel(), y["test"].ravel())
    by_label = zip(labels, f1_score(y["test"], said, average=None, zero_division=0))
    return (f"**28 labels:** macro-F1 {f1_score(y['test'], said, average='macro', zero_division=0):.4f}, "
            f"micro-F1 {f1_score(y['test'], said, average='micro'):.4f}, expected calibration error {error:.4f}; "
            f"ridge {ridge:g}.\nBy label: " + ", ".join(f"{label} {f1:.3f}" for label, f1 in by_label) + ".")


def one_class(folder, name, classes, x, y):
    """One of several classes: logistic regression, with a temperature from the development set. Gives the figures."""
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
    counts = confusion_matrix(y["test"], said)
    return "\n\n".join([
        f"**{name.capitalize()}:** accuracy {(said == y['test']).mean():.4f}, "
        f"macro-F1 {f1_score(y['test'], said, average='macro'):.4f}, "
        f"temperature {temperature:.2f}, calibration error {error:.4f}. {len(said):,} sentences.",
        table(["truth \\ said", *classes], *([truth, *row] for truth, row in zip(classes, counts))),
        reliability(curve),
    ])


def precise(p, y):
    """The lowest threshold from which on what is said is right often enough."""
    order = np.argsort(-p, kind="stable")
    right = np.cumsum(y[order]) / np.arange(1, len(p) + 1)
    enough = np.flatnonzero(right >= PRECISION)
    if len(enough) == 0:
        sys.exit(f"no threshold has a precision of {PRECISION}")
    last = enough[-1]
    return (p[order[last]] + p[order[min(last + 1, len(p) - 1)]]) / 2


def urgency(folder, model):
    """Whether something is urgent, by logistic regression. Everything is chosen on folds of the groups to learn from.
    Gives the figures on the groups kept aside."""
    rows = []
    for language in LANGUAGES[model]:
        with (OURS / f"urgency.{language}.tsv").open(encoding="utf-8") as lines:
            lines = (line for line in lines if not line.startswith("#"))
            rows += [(language, *row) for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    language, part, label, group, texts = (np.array(column) for column in zip(*rows))
    learned, y = part == "train", (label == "urgent").astype(int)
    if both := set(group[learned]) & set(group[~learned]):
        sys.exit(f"in both parts: {both}")
    x = embedded(model, list(texts))
    mean, scale = x[learned].mean(0), 1 / x[learned].std()
    unit, truth = (x[learned] - mean) * scale, y[learned]

    def fit(strength, some=slice(None)):
        return LogisticRegression(C=strength, max_iter=2000).fit(unit[some], truth[some])

    def of_others(strength):
        """What is said of each sentence by what has learned of the other folds only."""
        scores = np.zeros(len(truth))
        for inside, outside in GroupKFold(n_splits=5).split(unit, truth, group[learned]):
            scores[outside] = fit(strength, inside).decision_function(unit[outside])
        return scores

    def surprise(scores, temperature):
        return np.logaddexp(0, np.where(truth > 0, -scores, scores) / temperature).mean()

    held_out = {strength: of_others(strength) for strength in STRENGTHS}
    strength, temperature = min(((strength, t) for strength in STRENGTHS for t in TEMPERATURES),
                                key=lambda pair: surprise(held_out[pair[0]], pair[1]))
    p = sigmoid(held_out[strength] / temperature)
    limit = precise(p, truth)
    found = recall_score(truth, p >= limit)
    regression = fit(strength)
    weights = regression.coef_.T * scale / temperature
    offsets = regression.intercept_ / temperature - mean @ weights
    # The score of what is not urgent is zero.
    export(folder, "urgency", ["not_urgent", "urgent"], [0, limit], np.hstack([0 * weights, weights]),
           np.hstack([0 * offsets, offsets]), softmax=True)

    p, real, language = sigmoid(x[~learned] @ weights + offsets)[:, 0], y[~learned], language[~learned]
    said = (p >= limit).astype(int)
    error, curve = calibration_error(p, real)
    figures = [["", "sentences", "macro-F1", "precision", "recall"]]
    counts = [["truth \\ said", "not urgent", "urgent"]]
    for code, name in LANGUAGES[model].items():
        of = language == code
        figures.append([name, of.sum(), f"{f1_score(real[of], said[of], average='macro'):.4f}",
                        f"{precision_score(real[of], said[of], zero_division=0):.4f}",
                        f"{recall_score(real[of], said[of]):.4f}"])
        matrix = confusion_matrix(real[of], said[of], labels=[0, 1])
        counts += [[f"{name}, {is_so}", *row] for is_so, row in zip(["not urgent", "urgent"], matrix)]
    return "\n\n".join([
        f"**Urgency:** threshold {limit:.3f}, with which {PRECISION:.0%} of what it says in held-out folds is right "
        f"and {found:.0%} is found; C {strength:g}, temperature {temperature:.2f}, calibration error {error:.4f}.",
        table(*figures), table(*counts), reliability(curve),
    ])


def main(model, data):
    folder = FOLDERS[model]
    folder.mkdir(exist_ok=True)
    write_figures(model, "urgency", urgency(folder, model))
    if data is None:
        return
    labels = (data / "labels.txt").read_text().split()
    x, y = {}, {}
    for part in ("train", "dev", "test"):
        texts, y[part] = read(data, part, labels)
        x[part] = embedded(model, texts)
    write_figures(model, "goemotions", many_labels(folder, RIDGES[model], labels, x, y))
    for name in ("emotion", "sentiment"):
        classes = CLASSES[name]
        of = {part: classes_of(marks, labels, classes) for part, marks in y.items()}
        write_figures(model, name, one_class(folder, name, list(classes), x, of))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in FOLDERS:
        sys.exit(f"train.py {'|'.join(FOLDERS)} [DATA]")
    main(sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else None)
