"""Which operations each version of TF Serving has.

Core ops are those of the TensorFlow that a version is built with, asked of the C library in its
wheel (`tests/export/make_op_versions.py` wrote the file). The ops of TF Text are those of its
`ops_lib`, which TF Serving 2.12 to 2.19 take from TF Text 2.12.1 and 2.20 from TF Text 2.20.0
(`tensorflow_serving/workspace.bzl` of each branch).
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterable

# Their kernels live in a Python process: the names are registered everywhere and run nowhere.
PYTHON_ONLY = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})

_TEXT_OPS = frozenset(
    """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp
    SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets
    TFText>BoiseTagsToOffsets TFText>ByteSplitByOffsets TFText>ByteSplitWithOffsets
    TFText>FastSentencepieceDetokenize TFText>FastSentencepieceTokenize
    TFText>FastWordpieceDetokenize TFText>NgramsStringJoin TFText>OffsetsToBoiseTags
    TFText>PhraseDetokenize TFText>WhitespaceTokenizeWithOffsetsV2 TokenizerFromLogits
    UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets WordpieceTokenizeWithOffsets
    """.split()
)
_LATER_TEXT_OPS = {
    "TFText>RoundRobinGenerateMasks": "2.20",
    "TFText>RoundRobinTrim": "2.20",
    "TFText>Utf8Binarize": "2.20",
}


@dataclasses.dataclass(frozen=True)
class Missing:
    """What a version of TF Serving lacks.

    Args:
        name: the op's, or "op.attribute".
        targets: the versions that lack it.
        is_known: whether any version has it.
    """

    name: str
    targets: tuple[str, ...]
    is_known: bool


@dataclasses.dataclass(frozen=True)
class OpVersions:
    """Ops and attributes by the versions that have them.

    Args:
        versions: all that are known, oldest first.
        ops: the first version of an op, and the last one where that is not the newest known.
        attributes: likewise of "op.attribute", where that is another than the op's own.
    """

    versions: tuple[str, ...]
    ops: dict[str, tuple[str, ...]]
    attributes: dict[str, tuple[str, ...]]

    @classmethod
    @functools.cache
    def known(cls) -> "OpVersions":
        """What the package knows."""
        file = pathlib.Path(__file__).with_name("op_versions.json")
        found = json.loads(file.read_text(encoding="utf-8"))
        versions = tuple(found["versions"])
        first = (versions[0],)
        ops = {name: first for name in (*found["ops"], *_TEXT_OPS)}
        ops |= {name: tuple(span) for name, span in found["later_ops"].items()}
        ops |= {name: (version,) for name, version in _LATER_TEXT_OPS.items()}
        attributes = {name: tuple(span) for name, span in found["later_attributes"].items()}
        return cls(versions, ops, attributes)

    def missing(self, names: Iterable[str], targets: Iterable[str]) -> list[Missing]:
        """Which of some ops some versions lack.

        Args:
            names: of ops.
            targets: versions, of those known.
        """
        return self._missing(names, tuple(targets), self.ops, ())

    def missing_attributes(self, names: Iterable[str], targets: Iterable[str]) -> list[Missing]:
        """Which of some attributes, "op.attribute", some versions lack whose ops they have."""
        return self._missing(names, tuple(targets), self.attributes, (self.versions[0],))

    def _missing(
        self,
        names: Iterable[str],
        targets: tuple[str, ...],
        spans: dict[str, tuple[str, ...]],
        otherwise: tuple[str, ...],
    ) -> list[Missing]:
        found = []
        for name in sorted(set(names)):
            span = spans.get(name, otherwise)
            lacking = tuple(target for target in targets if not self._has(span, target))
            if lacking:
                found.append(Missing(name, lacking, bool(span)))
        return found

    def _has(self, span: tuple[str, ...], target: str) -> bool:
        if not span:
            return False
        number = self.versions.index(target)
        last = self.versions.index(span[1]) if len(span) == 2 else len(self.versions)
        return self.versions.index(span[0]) <= number <= last
