"""Real lines, hard lines, and vocabularies learned from them, shared by the tests of tokenizers."""

import gzip
import json

import pytest

HARD = [
    "",
    " ",
    "   ",
    " leading and trailing  ",
    "a" + " " * 50 + "b" + "\t" * 7 + "c",
    "\n",
    "line\r\nends\n\n\n  here\n \n",
    "trailing newline \n",
    "nul \x00 bell \x07 escape \x1b delete \x7f next \x85 line",
    "\x1c\x1d\x1e\x1f separators",
    "no\u00a0break thin\u2009space ideographic\u3000space zero\u200bwidth \u2028 \u2029",
    "\ufeffbyte order mark, soft\u00adhyphen, \u200djoiner",
    "I'm you're we've he'll she'd it's don't I'M YOU'RE WE'VE HE'LL SHE'D IT'S DON'T 'tis ''s ' s",
    "long s: it'\u017f '\u017f",
    "1 12 123 1234 12345678901 3.14 ½ ² Ⅷ ٣٤٥ 一二三 １２３",
    "!? ... -- ?!?! a!b !a !!a #hash @at $5 50% x_y __init__ \u00ab\u00bb \u2018\u2019\u201c\u201d",
    "café cafe\u0301 ÅÅA\u030a Ǆ ǅ ß ẞ ﬁ İstanbul ıI Σσς Ω \u212a \u2126",
    "😀 👩‍👩‍👧‍👦 🇩🇪 👍🏽 ☺️ ‼️",
    "敏捷的棕色狐狸跳过了懒狗。“全角”，标点！？龘𠮷䶮 \U0002f800 \uf900",
    "日本語のテキスト。カタカナ 한국어 텍스트 ภาษาไทย हिन्दी العربية עברית Ελληνικά Русский",
    "\ufffd \ue000 \U000f0000 \U0010ffff \U000e0001 \U00050000",
    "aaaaaaaaaaaaaaaa ababababab =========== ----------------",
    "w" * 100 + " " + "w" * 101 + " " + "é" * 100 + " " + "中" * 120,
    "<s> </s> <pad> <|endoftext|> [CLS] [SEP] [MASK] [UNK] ##ing <0x41> \u2581",
]


def _read(path):
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        return file.read().decode()


@pytest.fixture(scope="session")
def hard_lines():
    """Texts that break tokenizers."""
    return HARD


@pytest.fixture(scope="session")
def real_lines(shared_data):
    """3,000 lines or so of real English, German, French and Chinese, from ten data sets."""
    files = {
        "multi30k/val.de.gz": 3,
        "multi30k/val.fr.gz": 5,
        "tatoeba_zh_en/dev.tsv": 3,
        "chnsenticorp/dev.tsv": 6,
        "sst2/dev.tsv": 5,
        "wikitext2/valid.txt.gz": 9,
        "standard_ebooks/valid.txt.gz": 7,
        "tinyshakespeare/input.txt.gz": 100,
    }
    lines = [
        x for name, step in files.items() for x in _read(shared_data / name).split("\n")[::step]
    ]
    for name, field in (("samsum/val.jsonl", "dialogue"), ("csl_title/dev.jsonl", "abstract")):
        rows = [json.loads(line) for line in _read(shared_data / name).splitlines()[::5]]
        lines += [row[field] for row in rows]
    return lines


@pytest.fixture(scope="session")
def byte_pair_files(real_lines, hard_lines, tmp_path_factory):
    """A directory with `vocab.json`, `merges.txt` and `tokenizer.json`, 6,000 tokens."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("byte_pair_files")
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=6000,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(real_lines + hard_lines, trainer)
    trained.save(str(folder / "tokenizer.json"))
    trained.model.save(str(folder))
    return folder


@pytest.fixture(scope="session")
def wordpiece_files(real_lines, hard_lines, tmp_path_factory):
    """A directory with `vocab.txt` of 10,000 pieces or so of both cases."""
    import tokenizers

    folder = tmp_path_factory.mktemp("wordpiece_files")
    pieces = {}
    for lowercase in (True, False):
        trained = tokenizers.BertWordPieceTokenizer(lowercase=lowercase)
        trained.train_from_iterator(
            real_lines + hard_lines, vocab_size=7000, limit_alphabet=5000, show_progress=False
        )
        vocabulary = trained.get_vocab()
        pieces.update(dict.fromkeys(sorted(vocabulary, key=vocabulary.__getitem__)))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def byte_pair(byte_pair_files):
    """Ours, of `byte_pair_files`."""
    from tflm.tokenizers import from_huggingface

    return from_huggingface(byte_pair_files)


@pytest.fixture(scope="session")
def wordpiece(wordpiece_files):
    """Ours, of `wordpiece_files`, in small letters."""
    from tflm.tokenizers import from_huggingface

    return from_huggingface(wordpiece_files)


@pytest.fixture(scope="session")
def marian(real_lines):
    """A Marian tokenizer whose ids are not SentencePiece's, and which knows two languages."""
    from tflm.tokenizers import MarianTokenizer, SentencePieceTokenizer
    from tflm.tokenizers.sentencepiece_model import pieces_of

    sides = real_lines[:300], real_lines[300:900]
    models = [
        SentencePieceTokenizer.train(
            s,
            700 + 90 * n,
            "unigram",
            byte_fallback=False,
            normalization="nmt_nfkc",
            character_coverage=0.98,
        ).model
        for n, s in enumerate(sides)
    ]
    pieces = sorted({piece for model in models for piece in pieces_of(model)} - {"<s>"})
    pieces = ["</s>", "<unk>", *(p for p in pieces if p not in ("</s>", "<unk>", "<pad>")), "<pad>"]
    pieces.remove(next(p for p in pieces if len(p) > 3 and p[0] not in "<>"))  # one not numbered
    pieces += [">>fra<<", ">>zho<<"]
    return MarianTokenizer(*models, {piece: number for number, piece in enumerate(pieces)})
