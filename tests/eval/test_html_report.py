import dataclasses
import html
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from tflm.eval import Label, Likelihood
from tflm.eval.baselines import baselines_for
from tflm.eval.catalog import metrics_for, metrics_named
from tflm.eval.evaluation import evaluate
from tflm.eval.html_report import write_html, write_page

pytest.importorskip("matplotlib")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
EVIL = '<script>console.error("broken out")</script><img src="http://example.org/x.png">'


def random_texts(num_examples, characters, separator, seed=4):
    """References, and hypotheses that drop or replace about every fifth token."""
    generator = np.random.default_rng(seed)
    rows = [generator.choice(characters, generator.integers(4, 30)) for _ in range(num_examples)]
    references = [separator.join(row) for row in rows]
    hypotheses = [
        separator.join(
            generator.choice(characters) if generator.random() < 0.1 else token
            for token in row
            if generator.random() < 0.9
        )
        for row in rows
    ]
    return hypotheses, references


def make_page(path, num_examples, characters, separator, language, evil=EVIL):
    hypotheses, references = random_texts(num_examples, characters, separator)
    hypotheses[3] = evil
    metrics = metrics_named(["bleu", "chrf"], language)
    report = evaluate(
        hypotheses,
        [f"{evil} {text}" for text in references],
        references,
        metrics,
        task=f"translation en-{language}",
        data="<b>data</b>",
        settings={"model": "a<b"},
        num_resamples=20,
        target_language=language,
        baselines=baselines_for("translation"),
    )
    write_html(report, metrics, path)
    return report, path.read_text(encoding="utf-8")


CHINESE = list("我们今天去北京看天气很好的公园朋友学习中文老师说明白了吗。，")
GERMAN = "ein Hund läuft im Park und eine Katze schläft auf dem Sofa .".split()


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "report.html"
    return make_page(path, 60, CHINESE, "", "zh")


def test_a_page_has_scores_intervals_baselines_plots_and_examples(chinese):
    report, text = chinese
    for score in report.scores:
        assert f">{score.value:.2f}</td>" in text
        assert html.escape(score.signature) in text
        assert f"[{score.interval.low:.2f}, {score.interval.high:.2f}]" in text
    assert text.count('<svg class="plot"') == 3
    assert "the source, copied" in text
    assert "chrF2 of the example alone" in text
    assert text.count('<article class="example">') == 30
    assert text.count('<span class="missing"') > 10
    assert len(re.findall(r"<tr><td class=\"number\">\d+</td>", text)) == 60


def test_no_text_breaks_out_and_nothing_is_fetched(chinese):
    _, text = chinese
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "<b>data" not in text
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "default-src 'none'" in text


def test_a_classification_has_a_confusion_matrix(tmp_path):
    generator = np.random.default_rng(2)
    labels = ["负面", "正面", "中性"]
    references = generator.choice(labels, 40).tolist()
    hypotheses = [r if generator.random() < 0.7 else "正面" for r in references]
    hypotheses = [Label(text, {**dict.fromkeys(labels, 0.1), text: 0.8}) for text in hypotheses]
    metrics = metrics_named(["accuracy", "f1_macro", "brier"], "zh", labels)
    report = evaluate(hypotheses, references, references, metrics, num_resamples=10)
    write_html(report, metrics, tmp_path / "a.html", tmp_path / "b.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == text
    assert "<h2>Confusion</h2>" in text
    assert text.count('class="heat"') == 9
    assert "Wrong examples" in text
    assert "Best examples" not in text
    wrong = sum(h != r for h, r in zip(hypotheses, references, strict=True))
    assert text.count('<article class="example">') == min(20, wrong)


def test_a_report_without_sources_settings_or_intervals_is_a_page_too(tmp_path):
    metrics = metrics_named(["chrf"], "de")
    report = evaluate(["eins"], None, ["zwei"], metrics, num_resamples=0)
    write_html(report, metrics, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 example<" in text
    assert "tokens in the reference" in text
    assert "Settings" not in text


def test_scores_of_examples_have_the_digits_of_their_scale(tmp_path):
    metrics = metrics_named(["rouge1"], "zh")
    report = evaluate(["他去北京", "他"], None, ["他去东京", "她"], metrics, num_resamples=0)
    write_html(report, metrics, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "#1 · 0.7500" in text
    assert '<td class="number">0.7500</td>' in text


def test_a_report_of_texts_that_were_scored_has_no_examples(tmp_path):
    likelihoods, texts = [Likelihood(-4.5, 3), Likelihood(-2.0, 1)], ["公园很大", "茶"]
    metrics = metrics_for("causal_lm", "zh")
    scored = evaluate(likelihoods, None, texts, metrics, num_resamples=9)
    report = dataclasses.replace(scored, hypotheses=(), references=())
    write_html(report, metrics, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f">{report['perplexity'].value:.2f}</td>" in text
    assert "2 examples<" in text and "num_characters" in text
    assert "<svg" not in text and "Worst examples" not in text


def test_a_failed_write_leaves_the_earlier_page(tmp_path, monkeypatch):
    write_page("first", tmp_path / "page.html")

    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_page("second", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def chromium(page, profile, *arguments):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0", *arguments]
    return subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=240, check=True
    )


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page with")
@pytest.mark.parametrize(
    ("characters", "separator", "language"), [(GERMAN, " ", "de"), (CHINESE, "", "zh")]
)
def test_a_thousand_examples_open_in_a_browser(characters, separator, language, tmp_path):
    page = tmp_path / "report.html"
    report, text = make_page(page, 1000, characters, separator, language)
    assert page.stat().st_size < 3_000_000
    # The page looks at itself: what a script of a reader's own would see.
    probe = (
        "<script>document.title=JSON.stringify({plots:[...document.querySelectorAll('svg.plot')]"
        ".map(p=>p.getBoundingClientRect().height),fetched:performance.getEntriesByType("
        "'resource').length,rows:document.querySelectorAll('.all tbody tr').length,"
        "wide:document.documentElement.scrollWidth>innerWidth})</script></body>"
    )
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    probed = tmp_path / "probed.html"
    probed.write_text(
        policy.sub("", text).replace("</body>", probe), encoding="utf-8"
    )  # its own policy forbids the probe's script
    seen = chromium(probed, tmp_path / "profile", "--dump-dom").stdout
    found = json.loads(html.unescape(re.search("<title>(.*?)</title>", seen)[1]))
    assert found["fetched"] == 0
    assert found["rows"] == 1000
    assert len(found["plots"]) == 3
    assert min(found["plots"]) > 100
    assert not found["wide"]
    shot = tmp_path / "page.png"
    opened = chromium(page, tmp_path / "other", f"--screenshot={shot}", "--window-size=1200,3000")
    assert "CONSOLE" not in opened.stderr
    complaining = tmp_path / "complaining.html"  # the log would say so
    complaining.write_text("<script>console.error('中')</script>", encoding="utf-8")
    assert "CONSOLE" in chromium(complaining, tmp_path / "third", "--dump-dom").stderr
    assert shot.stat().st_size > 50_000
