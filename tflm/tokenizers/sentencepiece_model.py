"""A SentencePiece model from a `tokenizer.json` of Hugging Face `tokenizers`.

Llama 2, Mistral, T5 and their kin were SentencePiece models before they were converted; this is the
way back, for directories that hold the converted form only. What has no counterpart in
SentencePiece is refused.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as _protocol

_MODEL: Any = _protocol.ModelProto  # pyright: ignore[reportAttributeAccessIssue]
_SPACE = "\u2581"  # how SentencePiece writes a space
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # the format's piece types
_UNIGRAM, _BPE = 1, 2  # the format's model types


def to_model(spec: Mapping[str, Any], roles: Mapping[str, str]) -> bytes:
    """The serialized model that gives the ids of `spec`.

    Args:
        spec: The content of a `tokenizer.json` with a BPE or Unigram model.
        roles: Content of the special token for pad, unk, bos and eos, where there is one.

    Raises:
        ValueError: `spec` normalizes, splits or merges in a way that SentencePiece has not.
    """
    model = spec["model"]
    is_bpe = model["type"] == "BPE"
    scores = _bpe_scores(model) if is_bpe else dict(map(tuple, model["vocab"]))
    ids = model["vocab"] if is_bpe else {piece: n for n, (piece, _) in enumerate(model["vocab"])}
    unknown = model["unk_token"] if is_bpe else model["vocab"][model["unk_id"]][0]
    added = {token["content"]: token for token in spec.get("added_tokens", [])}
    ids = {**ids, **{content: token["id"] for content, token in added.items()}}
    pieces = {number: piece for piece, number in ids.items()}
    proto = _MODEL()
    for number in range(1 + max(pieces)):
        piece = pieces.get(number, f"<unused {number}>")
        if piece == unknown:
            kind = _UNKNOWN
        elif piece in added:
            kind = _CONTROL if added[piece]["special"] else _USER_DEFINED
        elif model.get("byte_fallback") and len(piece) == 6 and piece.startswith("<0x"):
            kind = _BYTE
        else:
            kind = _NORMAL if piece in scores else _CONTROL
        proto.pieces.add(piece=piece, score=scores.get(piece, 0.0), type=kind)
    _set_trainer(proto.trainer_spec, is_bpe, ids, {**roles, "unk": unknown})
    proto.trainer_spec.byte_fallback = bool(model.get("byte_fallback"))
    proto.normalizer_spec.name = "identity"
    for name, value in _normalization(spec).items():
        setattr(proto.normalizer_spec, name, value)
    return proto.SerializeToString()


def pieces_of(model: bytes) -> list[str]:
    """The pieces of a serialized model in the order of their ids."""
    proto = _MODEL()
    proto.ParseFromString(model)
    return [piece.piece for piece in proto.pieces]


def _bpe_scores(model: Mapping[str, Any]) -> dict[str, float]:
    """Scores under which SentencePiece merges in the order of `merges`.

    SentencePiece merges whatever makes a piece, the piece with the highest score first. That is the
    same if every way to make a piece is a merge, and all merges of a piece stand together.
    """
    merges = pairs_of(model["merges"])
    vocabulary = model["vocab"]
    scores = {piece: 0.0 for piece in vocabulary if len(piece) == 1}
    last = None
    for rank, (left, right) in enumerate(merges):
        if left + right in scores and left + right != last:
            raise _unsupported(f"merges of {left + right!r} apart from each other")
        scores.setdefault(left + right, -float(rank))
        last = left + right
    known = set(merges)
    for piece in scores:
        for cut in range(1, len(piece)):
            pair = piece[:cut], piece[cut:]
            if pair not in known and pair[0] in scores and pair[1] in scores:
                raise _unsupported(f"no merge of {pair[0]!r} and {pair[1]!r}, which make a piece")
    return scores


def pairs_of(merges: Sequence[Any]) -> list[tuple[str, str]]:
    """Merges as pairs, which `tokenizer.json` has as lists or, in old files, as "left right"."""
    split = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    return [(left, right) for left, right in split]


def _set_trainer(
    trainer: Any, is_bpe: bool, ids: Mapping[str, int], roles: Mapping[str, str]
) -> None:
    trainer.model_type = _BPE if is_bpe else _UNIGRAM
    trainer.vocab_size = 1 + max(ids.values())
    for role in ("pad", "unk", "bos", "eos"):
        piece = roles.get(role, f"<no {role}>")  # the format's own name would count if left out
        setattr(trainer, f"{role}_id", ids.get(piece, -1))
        setattr(trainer, f"{role}_piece", piece)


def _normalization(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of SentencePiece's `NormalizerSpec` that do what `spec` does before its model."""
    found: dict[str, Any] = {
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "escape_whitespaces": True,
    }
    for step in steps_of(spec.get("normalizer")):
        pattern = step.get("pattern", {})
        match step["type"]:
            case "Prepend" if step["prepend"] == _SPACE:
                found["add_dummy_prefix"] = True
            case "Replace" if pattern == {"String": " "} and step["content"] == _SPACE:
                pass
            case "Replace" if pattern == {"Regex": " {2,}"} and step["content"] in (" ", _SPACE):
                found["remove_extra_whitespaces"] = True
            case "Strip":
                found["remove_extra_whitespaces"] = True
            case "Precompiled":
                charsmap = step["precompiled_charsmap"] or ""
                found["precompiled_charsmap"] = base64.b64decode(charsmap)
            case other:
                raise _unsupported(f"the normalizer {other}")
    for step in steps_of(spec.get("pre_tokenizer")):
        match step["type"]:
            case "Metaspace":
                default = "always" if step.get("add_prefix_space", True) else "never"
                found["add_dummy_prefix"] |= step.get("prepend_scheme", default) != "never"
            case "WhitespaceSplit":
                found["remove_extra_whitespaces"] = True
            case "Split" if step["pattern"] == {"String": " "}:
                pass  # of which the normalizer has left none
            case other:
                raise _unsupported(f"the pre-tokenizer {other}")
    return found


def steps_of(part: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer or pre-tokenizer of a `tokenizer.json`."""
    if part is None:
        return
    inner = part.get("normalizers") or part.get("pretokenizers")
    if part["type"] == "Sequence":
        for each in inner or ():
            yield from steps_of(each)
    else:
        yield part


def _unsupported(what: str) -> ValueError:
    return ValueError(f"`tokenizer.json` must be what SentencePiece can do. Received: {what}")
