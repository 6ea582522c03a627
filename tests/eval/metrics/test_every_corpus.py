"""Scores of real outputs over every public corpus with references or labels equal those of the
reference packages: what the `sacrebleu` command prints, and what scikit-learn returns.

The outputs are those of trained models where the repository holds some, and else of trivial
systems: the source copied, the first sentences, a naive Bayes classifier.
"""

import csv
import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from tflm.eval.baselines import lead
from tflm.eval.metrics import (
    AUROC,
    BLEU,
    CHRF,
    F1,
    TER,
    Accuracy,
    BrierScore,
    CalibrationError,
    MatthewsCorrelation,
    Precision,
    Recall,
    confusion_matrix,
)
from tflm.eval.printing import unescape_line

QUICK = 60  # examples of a quick test


def read(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return file.read().removesuffix("\n").split("\n")


def fields(path, *names):
    return [[json.loads(line)[name] for name in names] for line in read(path)]


def learned(root, run):
    """What a trained model wrote."""
    path = root / "benchmarks" / "results" / run / "hypotheses.txt"
    return [unescape_line(line) for line in read(path)]


def multi30k(data, name):
    return read(data / "multi30k" / f"{name}.gz")


def tatoeba(data, column):
    rows = read(data / "tatoeba_zh_en" / "dev.tsv")
    return [row[column] for row in csv.reader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)]


def first(num_sentences, texts):
    return lead(num_sentences).predict(texts, [])


def dialogue(data, name):
    rows = fields(data / name, "dialogue", "summary")
    return [" ".join(text.split("\n")[:3]) for text, _ in rows], [summary for _, summary in rows]


def aeslc(data, split):
    rows = fields(data / "aeslc" / f"{split}.jsonl.gz", "body", "subject", "annotations")
    bodies = first(1, [body[:300] for body, _, _ in rows])
    return bodies, [(subject, *annotations) for _, subject, annotations in rows]


def csl(data, split):
    rows = fields(data / "csl_title" / f"{split}.jsonl", "abstract", "title")
    # TER of a whole sentence, by the character, takes the reference package seconds.
    return [abstract[:25] for abstract, _ in rows], [title for _, title in rows]


# Language, and what gives outputs and references from the data and the repository.
SYSTEMS = {
    **{
        f"multi30k en-de {search}": (
            "de",
            lambda data, root, search=search: (
                learned(root, f"multi30k_en_de/{search}"),
                multi30k(data, "test_2016_flickr.de"),
            ),
        )
        for search in ("beam", "greedy")
    },
    **{
        f"tatoeba {pair} {search}": (
            pair[3:],
            lambda data, root, pair=pair, search=search: (
                learned(root, f"tatoeba_{pair.replace('-', '_')}/{search}"),
                tatoeba(data, int(pair == "en-zh")),
            ),
        )
        for pair in ("zh-en", "en-zh")
        for search in ("beam", "greedy")
    },
    **{
        f"multi30k {split} en-{language}, source copied": (
            language,
            lambda data, root, split=split, language=language: (
                multi30k(data, f"{split}.en"),
                multi30k(data, f"{split}.{language}"),
            ),
        )
        for split in ("val", "test_2016_flickr")
        for language in ("de", "fr")
    },
    **{
        f"csl {split}, first words": ("zh", lambda data, root, split=split: csl(data, split))
        for split in ("dev", "test")
    },
    **{
        f"{name}, three turns": ("en", lambda data, root, name=name: dialogue(data, name))
        for name in ("samsum/val.jsonl", "samsum/test.jsonl", "dialogsum/dev.jsonl")
    },
    **{
        f"aeslc {split}, four references": (
            "en",
            lambda data, root, split=split: aeslc(data, split),
        )
        for split in ("dev", "test")
    },
}
QUICK_SYSTEMS = ("multi30k en-de beam", "tatoeba en-zh beam", "tatoeba zh-en greedy", "aeslc dev,")


def check_sacrebleu(language, hypotheses, references, folder):
    # The command reads a line an example.
    entries = ((entry,) if isinstance(entry, str) else entry for entry in references)
    references = [tuple(" ".join(text.split()) for text in entry) for entry in entries]
    hypotheses = [" ".join(text.split()) for text in hypotheses]
    files = []
    for name, lines in enumerate([hypotheses, *zip(*references, strict=True)]):
        files.append(folder / f"{name}.txt")
        files[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    is_chinese = language == "zh"
    command = [sys.executable, "-m", "sacrebleu", *files[1:], "-i", files[0], "-w", "12"]
    command += ["-m", "bleu", "chrf", "ter", "-f", "json", "-tok", "zh" if is_chinese else "13a"]
    command += ["--chrf-word-order", "2"] if language == "de" else []
    command += ["--ter-normalized", "--ter-asian-support"] if is_chinese else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    chrf = CHRF(word_order=2 if language == "de" else 0)
    for metric, expected in zip((BLEU(language), chrf, TER(language)), printed, strict=True):
        score = metric.score(hypotheses, references)
        assert f"{score.value:.12f}" == f"{expected['score']:.12f}"
        assert score.signature == expected["signature"]
        assert score.label == expected["name"]


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name.startswith(QUICK_SYSTEMS)])
def test_some_examples_score_as_the_sacrebleu_command_prints(
    system, shared_data, repository, tmp_path
):
    language, load = SYSTEMS[system]
    hypotheses, references = load(shared_data, repository)
    check_sacrebleu(language, hypotheses[:QUICK], references[:QUICK], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_whole_corpora_score_as_the_sacrebleu_command_prints(
    system, shared_data, repository, tmp_path
):
    language, load = SYSTEMS[system]
    hypotheses, references = load(shared_data, repository)
    assert len(hypotheses) == len(references) > 490
    check_sacrebleu(language, hypotheses, references, tmp_path)


LABELS = ("0", "1")


def labelled(path):
    rows = csv.reader(read(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    texts, labels = zip(*rows, strict=True)
    return texts, list(labels)


@pytest.fixture(scope="module", params=["sst2", "chnsenticorp"])
def classified(request, shared_data):
    """Probabilities of a naive Bayes classifier, and the true labels."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    bayes = pytest.importorskip("sklearn.naive_bayes")
    folder = shared_data / request.param
    train = next(folder.glob("train.tsv*"))
    texts, labels = labelled(train)
    by_character = {"analyzer": "char", "ngram_range": (1, 2)}
    counts = text.CountVectorizer(**(by_character if request.param == "chnsenticorp" else {}))
    model = bayes.MultinomialNB().fit(counts.fit_transform(texts[:2000]), labels[:2000])
    texts, labels = labelled(folder / "dev.tsv")
    assert tuple(model.classes_) == LABELS and len(labels) in (872, 1200)
    return model.predict_proba(counts.transform(texts)), labels


def test_classification_scores_are_those_of_scikit_learn(classified):
    from sklearn import metrics

    probabilities, true = classified
    predicted = [LABELS[index] for index in probabilities.argmax(axis=1)]
    expected = {
        Accuracy(LABELS): metrics.accuracy_score(true, predicted),
        MatthewsCorrelation(LABELS): metrics.matthews_corrcoef(true, predicted),
        AUROC(LABELS): metrics.roc_auc_score(np.array(true) == "1", probabilities[:, 1]),
        BrierScore(LABELS): metrics.brier_score_loss(np.array(true) == "1", probabilities[:, 1]),
    }
    functions = {
        F1: metrics.f1_score,
        Precision: metrics.precision_score,
        Recall: metrics.recall_score,
    }
    for cls, function in functions.items():
        for average in ("macro", "micro", "weighted"):
            expected[cls(LABELS, average=average)] = function(true, predicted, average=average)
        for label in LABELS:
            expected[cls(LABELS, positive=label)] = function(true, predicted, pos_label=label)
    for metric, value in expected.items():
        score = metric.score(probabilities, true)
        assert score.value == pytest.approx(value, abs=1e-12)
        assert 0.1 < score.value < 0.99
    found = confusion_matrix(predicted, true, LABELS)
    np.testing.assert_array_equal(found, metrics.confusion_matrix(true, predicted))


def test_the_calibration_error_is_that_of_scikit_learn_s_bins(classified):
    from sklearn.calibration import calibration_curve

    probabilities, true = classified
    confidence = probabilities.max(axis=1)
    is_right = np.array(LABELS)[probabilities.argmax(axis=1)] == true
    accuracies, confidences = calibration_curve(is_right, confidence, n_bins=15)
    counts, _ = np.histogram(confidence, np.linspace(0, 1, 16))
    expected = np.abs(accuracies - confidences) @ counts[counts > 0] / len(true)
    score = CalibrationError(LABELS).score(probabilities, true)
    assert score.value == pytest.approx(expected, abs=1e-12)
    assert score.value > 0.01
