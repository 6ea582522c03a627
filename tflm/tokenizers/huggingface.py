"""Tokenizer files of a Hugging Face directory, opened without `transformers`.

What is read: `source.spm`, `target.spm` and `vocab.json` (Marian); `tokenizer.json` with a model of
byte-level BPE, BPE of SentencePiece's kind, Unigram or WordPiece; a SentencePiece model;
`vocab.json` and `merges.txt`; `vocab.txt`. What each special token is for comes from
`tokenizer_config.json` and `special_tokens_map.json`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tflm.tokenizers import byte_pair, marian, wordpiece
from tflm.tokenizers.loading import Tokenizer
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer
from tflm.tokenizers.sentencepiece_model import pairs_of, pieces_of, steps_of, to_model
from tflm.tokenizers.special_tokens import ROLES, SpecialToken
from tflm.tokenizers.splitting import RULES

_SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.model")
_SUPPORTED = (
    "byte-level BPE (GPT-2, RoBERTa, BART, Llama 3, Qwen, SmolLM), WordPiece (BERT, DistilBERT), "
    "SentencePiece (Llama 2, Mistral, T5), Marian"
)
# Other ways to write a rule's expression.
_SAME_RULE = {
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": "gpt2",
}
# Files without `tokenizer.json` do not say how they split and normalize; GPT-2's way but for these.
_BY_CLASS = {
    "Qwen2Tokenizer": {"split": "qwen2", "normalization": "nfc"},
    "Qwen2TokenizerFast": {"split": "qwen2", "normalization": "nfc"},
}
# What tokens are for where no file says it.
_USUAL_ROLES = (
    wordpiece.ROLES,
    {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>"},
    {
        **{"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"},
        **{"cls": "<s>", "sep": "</s>", "mask": "<mask>"},
    },
)


def from_huggingface(directory: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a Hugging Face model, with that model's ids.

    Args:
        directory: A local directory with the model's tokenizer files.

    Raises:
        FileNotFoundError: `directory` holds no tokenizer files.
        ValueError: Its tokenizer is of another kind, or has a part that ours have not; the message
            says which.
    """
    folder = Path(directory)
    settings = {
        **_json(folder / "special_tokens_map.json"),
        **_json(folder / "tokenizer_config.json"),
    }
    if all((folder / name).is_file() for name in marian.MODEL_FILES):
        return marian.MarianTokenizer.load(folder)
    if (folder / "tokenizer.json").is_file():
        return _from_tokenizer_json(folder, settings)
    for name in _SENTENCEPIECE_FILES:
        if (folder / name).is_file():
            return SentencePieceTokenizer((folder / name).read_bytes())
    if (folder / byte_pair.MERGES_FILE).is_file():
        vocabulary, merges = byte_pair.read_vocabulary(folder)
        added = _added_without_tokenizer_json(folder, settings)
        tokens, roles = _special_tokens(added, vocabulary, settings)
        way: dict[str, Any] = _BY_CLASS.get(settings.get("tokenizer_class", ""), {})
        prefix = bool(settings.get("add_prefix_space", False))
        return byte_pair.BytePairTokenizer(
            vocabulary, merges, special_tokens=tokens, roles=roles, add_prefix_space=prefix, **way
        )
    if (folder / wordpiece.VOCABULARY_FILE).is_file():
        pieces = wordpiece.read_pieces(folder)
        ids = {piece: number for number, piece in enumerate(pieces)}
        added = _added_without_tokenizer_json(folder, settings)
        tokens, roles = _special_tokens(added, ids, settings)
        return wordpiece.WordPieceTokenizer(
            pieces,
            lowercase=settings.get("do_lower_case", True),
            strip_accents=settings.get("strip_accents"),
            split_chinese=settings.get("tokenize_chinese_chars", True),
            special_tokens=tokens,
            roles=roles,
        )
    present = sorted(path.name for path in folder.glob("*"))
    raise FileNotFoundError(
        f"`directory` must hold the tokenizer files of one of: {_SUPPORTED}. Received: "
        f"{os.fspath(directory)}, which holds {', '.join(present) or 'nothing'}"
    )


def _from_tokenizer_json(folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    spec = _json(folder / "tokenizer.json")
    model = spec["model"]
    kind = model.setdefault("type", "BPE" if "merges" in model else "WordPiece")
    added = [_special_token(each) for each in spec.get("added_tokens", [])]
    vocabulary = model["vocab"]
    if kind == "Unigram":
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    tokens, roles = _special_tokens(added, vocabulary, settings)
    before = json.dumps([spec.get("normalizer"), spec.get("pre_tokenizer")], ensure_ascii=False)
    if kind == "Unigram" or kind == "BPE" and "\u2581" in before:
        return _sentencepiece(folder, spec, vocabulary, roles)
    if kind == "BPE":
        return _byte_pair(spec, tokens, roles)
    if kind == "WordPiece":
        return _wordpiece(spec, tokens, roles)
    raise _unsupported(f"a {kind} model")


def _sentencepiece(
    folder: Path, spec: Mapping[str, Any], ids: Mapping[str, int], roles: Mapping[str, str]
) -> SentencePieceTokenizer:
    for name in _SENTENCEPIECE_FILES:
        if (folder / name).is_file():
            model = (folder / name).read_bytes()
            # Some models number the pieces anew (XLM-R); then the file is of no use here.
            if all(ids.get(piece) == number for number, piece in enumerate(pieces_of(model))):
                return SentencePieceTokenizer(model)
    return SentencePieceTokenizer(to_model(spec, roles))


def _byte_pair(
    spec: Mapping[str, Any], tokens: list[SpecialToken], roles: Mapping[str, str]
) -> byte_pair.BytePairTokenizer:
    model = spec["model"]
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout", "byte_fallback"):
        if model.get(name):
            raise _unsupported(f"a BPE model with {name}={model[name]!r}")
    normalizers = [step["type"] for step in steps_of(spec.get("normalizer"))]
    if normalizers not in ([], ["NFC"]):
        raise _unsupported(f"the normalizer {', '.join(normalizers)}")
    split, add_prefix_space = _split_of(spec)
    return byte_pair.BytePairTokenizer(
        model["vocab"],
        pairs_of(model["merges"]),
        split,
        tokens,
        roles,
        add_prefix_space,
        "nfc" if normalizers else "none",
        bool(model.get("ignore_merges", False)),
    )


def _split_of(spec: Mapping[str, Any]) -> tuple[str, bool]:
    """The rule of a byte-level pre-tokenizer, and whether it puts a space in front."""
    steps = list(steps_of(spec.get("pre_tokenizer")))
    kinds = [step["type"] for step in steps]
    if kinds and kinds[-1] == "ByteLevel":
        prefix, uses_regex = steps[-1]["add_prefix_space"], steps[-1].get("use_regex", True)
        if kinds == ["ByteLevel"] and uses_regex:
            return "gpt2", prefix
        if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and uses_regex:
            if not prefix:
                return "gpt2_digits", False
        elif kinds == ["Split", "ByteLevel"] and not uses_regex and not prefix:
            expression = steps[0]["pattern"].get("Regex", "")
            rules = {rule.expression: name for name, rule in reversed(RULES.items())} | _SAME_RULE
            if expression in rules and steps[0]["behavior"] == "Isolated":
                return rules[expression], False
            raise _unsupported(f"the expression {expression!r}; it knows {', '.join(rules)}")
    raise _unsupported(f"the pre-tokenizer {json.dumps(spec.get('pre_tokenizer'))}")


def _wordpiece(
    spec: Mapping[str, Any], tokens: list[SpecialToken], roles: Mapping[str, str]
) -> wordpiece.WordPieceTokenizer:
    model, normalizer = spec["model"], spec.get("normalizer") or {}
    splitter = spec.get("pre_tokenizer") or {}
    if (normalizer.get("type"), splitter.get("type")) != ("BertNormalizer", "BertPreTokenizer"):
        raise _unsupported(
            f"a WordPiece model behind {normalizer.get('type')} and {splitter.get('type')}"
        )
    prefix, longest = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
    if (prefix, longest) != ("##", 100):
        raise _unsupported(f"a WordPiece model with prefix {prefix!r} and words of {longest}")
    pieces = [""] * (1 + max(model["vocab"].values()))
    for piece, number in model["vocab"].items():
        pieces[number] = piece
    return wordpiece.WordPieceTokenizer(
        pieces,
        normalizer["lowercase"],
        normalizer["strip_accents"],
        normalizer["handle_chinese_chars"],
        normalizer["clean_text"],
        tokens,
        {**roles, "unk": model["unk_token"]},
    )


def _special_token(entry: Mapping[str, Any]) -> SpecialToken:
    if entry.get("single_word"):
        raise _unsupported(f"the added token {entry['content']!r} with single_word")
    flags = (bool(entry.get(name)) for name in ("special", "lstrip", "rstrip"))
    return SpecialToken(entry["content"], entry["id"], *flags)


def _added_without_tokenizer_json(folder: Path, settings: Mapping[str, Any]) -> list[SpecialToken]:
    named: dict[str, int] = _json(folder / "added_tokens.json")
    entries: Mapping[str, Any] = settings.get("added_tokens_decoder", {})
    listed = [_special_token({**entry, "id": int(number)}) for number, entry in entries.items()]
    contents = {token.content for token in listed}
    return [*listed, *(SpecialToken(c, number) for c, number in named.items() if c not in contents)]


def _special_tokens(
    added: Iterable[SpecialToken], vocabulary: Mapping[str, int], settings: Mapping[str, Any]
) -> tuple[list[SpecialToken], dict[str, str]]:
    """The tokens outside the vocabulary's rules, and what they are for."""
    tokens = {token.content: token for token in added}

    def known(roles: Mapping[str, Any]) -> dict[str, str]:
        contents: dict[str, Any] = {
            r: c.get("content") if isinstance(c, dict) else c for r, c in roles.items()
        }
        return {r: c for r, c in contents.items() if c in tokens or c in vocabulary}

    roles = known({role: settings.get(f"{role}_token") for role in ROLES})
    for usual in _USUAL_ROLES:
        roles = roles or known(usual)
    for content in roles.values():
        if content not in tokens:
            tokens[content] = SpecialToken(content, vocabulary[content])
    return list(tokens.values()), roles


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _unsupported(what: str) -> ValueError:
    return ValueError(f"The tokenizer must be one of: {_SUPPORTED}. Received: {what}")
