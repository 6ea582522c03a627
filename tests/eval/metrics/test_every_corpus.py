"""Scores over every public corpus with references equal what the `sacrebleu` command prints."""

import csv
import gzip
import json
import subprocess
import sys

import pytest

from tflm.eval.metrics import BLEU, CHRF, TER

NUM_EXAMPLES = 80


def read(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return file.read().split("\n")[:NUM_EXAMPLES]


def fields(path, *names):
    return [[json.loads(line)[name] for name in names] for line in read(path)]


def multi30k(data, language):
    return [(text,) for text in read(data / "multi30k" / f"test_2016_flickr.{language}.gz")]


def tatoeba(data, column):
    rows = csv.reader(
        read(data / "tatoeba_zh_en" / "dev.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    return [(row[column],) for row in rows]


def aeslc(data):
    rows = fields(data / "aeslc" / "dev.jsonl.gz", "subject", "annotations")
    return [(subject, *annotations) for subject, annotations in rows]


CORPORA = {
    "multi30k de": ("de", lambda data: multi30k(data, "de")),
    "multi30k fr": ("fr", lambda data: multi30k(data, "fr")),
    "multi30k en": ("en", lambda data: multi30k(data, "en")),
    "tatoeba en": ("en", lambda data: tatoeba(data, 0)),
    "tatoeba zh": ("zh", lambda data: tatoeba(data, 1)),
    "csl zh": ("zh", lambda data: fields(data / "csl_title" / "dev.jsonl", "title")),
    "samsum": ("en", lambda data: fields(data / "samsum" / "test.jsonl", "summary")),
    "dialogsum": ("en", lambda data: fields(data / "dialogsum" / "dev.jsonl", "summary")),
    "aeslc, four references": ("en", aeslc),
}


def damaged(text):
    """Every sixth word (character, without spaces) is missing, and the third comes first."""
    separator = " " if " " in text else ""
    words = text.split(" ") if separator else list(text)
    kept = [word for i, word in enumerate(words) if i % 6 != 4]
    return separator.join(kept[2:3] + kept[:2] + kept[3:])


@pytest.mark.parametrize("corpus", CORPORA)
def test_scores_are_those_that_the_sacrebleu_command_prints(corpus, shared_data, tmp_path):
    language, load = CORPORA[corpus]
    # The command reads a line an example.
    references = [
        tuple(" ".join(text.split()) for text in entry) for entry in load(shared_data) if entry
    ]
    hypotheses = [damaged(entry[0]) for entry in references]
    files = []
    for name, lines in enumerate([hypotheses, *zip(*references, strict=True)]):
        files.append(tmp_path / f"{name}.txt")
        files[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    is_chinese = language == "zh"
    command = [sys.executable, "-m", "sacrebleu", *files[1:], "-i", files[0], "-w", "6"]
    command += ["-m", "bleu", "chrf", "ter", "-f", "json", "-tok", "zh" if is_chinese else "13a"]
    command += ["--ter-normalized", "--ter-asian-support"] if is_chinese else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    for metric, expected in zip((BLEU(language), CHRF(), TER(language)), printed, strict=True):
        score = metric.score(hypotheses, references)
        assert f"{score.value:.6f}" == f"{expected['score']:.6f}"
        assert score.signature == expected["signature"]
        assert 0 < score.value < 100
