"""A parallel corpus of the project's own making, for a demonstration that needs no data set.

    en   The farmer who sold the horse is not waiting for my neighbor.
    de   Der Bauer, der das Pferd verkauft hat, wartet nicht auf meinen Nachbarn.

    python -m tflm.tasks.demo_corpus FOLDER [de|zh]     # train.tsv, valid.tsv, test.tsv

Sentences are sampled from the grammar of `tflm.tasks.demo_grammar`. The split of a sentence follows
from a hash of its English, and no sentence occurs twice on either side, so nothing of the test set
can be in the training set. The same call gives the same corpus on every machine.
"""

import dataclasses
import functools
import hashlib
import pathlib
import random
import sys
from collections.abc import Callable, Collection, Iterator

from tflm.tasks import demo_lexicon as lexicon
from tflm.tasks.demo_grammar import (
    MODALS,
    Clause,
    Gap,
    Phrase,
    Place,
    Sentence,
    chinese,
    english,
    german,
)
from tflm.tasks.demo_lexicon import Adjective, Noun, Pronoun, Verb

SIZES = {"train": 6000, "valid": 200, "test": 200}
LANGUAGES: dict[str, Callable[[Sentence], str]] = {"de": german, "zh": chinese}

_SEED = 2017
_LONGEST = 22  # English words


def demo_pairs(split: str, language: str = "de") -> list[tuple[str, str]]:
    """Sentence pairs of one split, English and `language`.

    Args:
        split: "train", "valid" or "test"; `SIZES` says how many pairs each has.
        language: "de" or "zh".

    Returns:
        Pairs of source and target. No source and no target occurs twice in all splits together.

    Raises:
        ValueError: if the split or the language is not one of these.
    """
    if split not in SIZES:
        raise ValueError(f"`split` must be one of {', '.join(SIZES)}. Received: split={split}")
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"`language` must be one of {known}. Received: language={language}")
    return list(_corpus(language)[split])


def write_demo_corpus(directory: str | pathlib.Path, language: str = "de") -> None:
    """Write the splits as files of one pair a line, `train.tsv`, `valid.tsv` and `test.tsv`."""
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SIZES:
        lines = [f"{source}\t{target}\n" for source, target in demo_pairs(split, language)]
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8", newline="\n")


@functools.cache
def _corpus(language: str) -> dict[str, list[tuple[str, str]]]:
    splits: dict[str, list[tuple[str, str]]] = {name: [] for name in SIZES}
    sources: set[str] = set()
    targets: set[str] = set()
    for sentence in _sentences():
        source, target = english(sentence), LANGUAGES[language](sentence)
        if source in sources or target in targets or len(source.split()) > _LONGEST:
            continue
        sources.add(source)
        targets.add(target)
        split = _split(source)
        if len(splits[split]) < SIZES[split]:
            splits[split].append((source, target))
        elif all(len(splits[name]) == size for name, size in SIZES.items()):
            break
    return splits


def _split(source: str) -> str:
    bucket = hashlib.sha256(source.encode()).digest()[0] % 32
    return {0: "test", 1: "valid"}.get(bucket, "train")


# --- sampling -------------------------------------------------------------------------------------
# A tense is a letter here: c(ontinuous), s(imple), p(ast), f(uture), m(odal).

_TENSES = {"c": "continuous", "s": "simple", "p": "past", "f": "future"}
_TIMED = {"c": 0.15, "s": 0.0, "p": 0.5, "f": 0.5, "m": 0.3}
_STATEMENTS = {"clause": 46, "state": 16, "question": 12, "pair": 26}
_QUESTIONS = {"whether": 40, "who": 20, "what": 22, "where": 18}
_PAIRS = {"because": 5, "although": 3, "if": 4, "while": 3, "that": 5, "and": 3, "but": 3}
_DETERMINERS = {
    "the": 38, "a": 18, "my": 10, "this": 8, "the plural": 10,
    "these": 3, "two": 5, "three": 2, "some": 3, "many": 3,
}  # fmt: skip
_PASSING = {"happy", "friendly", "tired", "hungry", "cheap", "expensive", "fresh", "interesting"}
_DEFINITE = {"the": 50, "my": 15, "this": 15, "the plural": 15, "these": 5}


def _sentences() -> Iterator[Sentence]:
    rng = random.Random(_SEED)
    while True:
        kind = _pick(rng, _STATEMENTS)
        if kind == "clause":
            yield Sentence(_clause(rng, "cspfm", depth=2, timed=True))
        elif kind == "state":
            yield Sentence(_state(rng, depth=1, timed=True), question=rng.random() < 0.2)
        elif kind == "question":
            yield _question(rng)
        else:
            yield _pair(rng)


def _pick(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _pair(rng: random.Random) -> Sentence:
    connective = _pick(rng, _PAIRS)
    other = _state(rng, pronouns=0.5) if rng.random() < 0.35 else None
    if connective == "that":
        verb = rng.choice(lexicon.THINKING)
        main = Clause(_subject(rng, verb.subjects), verb, "simple")
        return Sentence(main, connective, other or _clause(rng, "cpfm", pronouns=0.4))
    if connective == "while":
        return Sentence(_clause(rng, "c"), connective, _clause(rng, "c", pronouns=0.3))
    if connective == "if":
        # English and German take the simple present here, whatever the verb.
        condition = dataclasses.replace(_clause(rng, "c"), tense="simple")
        return Sentence(_clause(rng, "fm", pronouns=0.4), connective, other or condition)
    return Sentence(_clause(rng, "cspfm"), connective, other or _clause(rng, "cspfm", pronouns=0.4))


def _question(rng: random.Random) -> Sentence:
    kind = _pick(rng, _QUESTIONS)
    while True:
        clause = _clause(rng, "cpfm", timed=kind != "where", positive=True, depth=1)
        clause = dataclasses.replace(clause, time_first=False)
        if kind == "whether":
            return Sentence(clause, question=True)
        if kind == "who" and isinstance(clause.subject, Pronoun):
            return Sentence(dataclasses.replace(clause, subject=Gap()), question=True)
        if kind == "what" and _asks_what(clause):
            return Sentence(dataclasses.replace(clause, object=Gap()), question=True)
        if kind == "where" and clause.verb is not lexicon.GOING and clause.tense != "past":
            if clause.recipient is None and isinstance(clause.place, Place):
                return Sentence(dataclasses.replace(clause, place=Gap()), question=True)


def _asks_what(clause: Clause) -> bool:
    thing = clause.object
    return isinstance(thing, Phrase) and thing.noun.kind != "person" and clause.recipient is None


def _clause(
    rng: random.Random,
    tenses: str,
    depth: int = 0,
    timed: bool = False,
    positive: bool = False,
    pronouns: float = 0.2,
) -> Clause:
    """A clause with a verb; its phrases hold relative clauses `depth` deep."""
    verbs = [*lexicon.VERBS, *lexicon.GIVING, *[lexicon.GOING] * 3]
    verb = rng.choice([verb for verb in verbs if set(verb.tenses) & set(tenses)])
    letter = rng.choice([letter for letter in verb.tenses if letter in tenses])
    tense = rng.choice(list(MODALS)) if letter == "m" else _TENSES[letter]
    negative = not positive and tense != "must" and rng.random() < 0.2
    subject = _subject(rng, verb.subjects, _DEFINITE if negative else None, depth, pronouns)
    others = {subject.noun} if isinstance(subject, Phrase) else set()
    recipient = None
    if verb in lexicon.GIVING:
        recipient = _phrase(rng, ["person"], _DEFINITE, exclude=others)
    time = None
    if timed and rng.random() < _TIMED[letter]:
        time = rng.choice([time for time in lexicon.TIMES if time.tense == letter])
    return Clause(
        subject,
        verb,
        tense,
        negative,
        recipient,
        _object(rng, verb, negative, depth, others),
        place=_scene(rng, verb, letter),
        time=time,
        time_first=time is not None and rng.random() < 0.35,
    )


def _state(
    rng: random.Random, depth: int = 0, timed: bool = False, pronouns: float = 0.2
) -> Clause:
    """A clause with "to be": what someone is like, how they compare, or where they are."""
    negative = rng.random() < 0.2
    # Chinese does not mark the past of a state, so it never stands without its time.
    times = [time for time in lexicon.TIMES if time.tense == "p"]
    time = rng.choice(times) if timed and rng.random() < 0.35 else None
    tense = "past" if time else "simple"
    located = rng.random() < 0.35
    kinds = ["person", "animal", "thing"] if located else lexicon.NOUN_CLASSES
    subject = _subject(rng, kinds, _DEFINITE, depth, pronouns)
    noun = subject.noun if isinstance(subject, Phrase) else None
    if located:
        place = _beside(rng, noun) if rng.random() < 0.5 else _at(rng)
        return Clause(subject, None, tense, negative, place=place, time=time)
    qualities = [quality for quality in _adjectives(noun) if quality.chinese[0]]
    compared = [quality for quality in qualities if quality.german[2]]
    if isinstance(subject, Phrase) and compared and rng.random() < 0.25:
        subject = dataclasses.replace(subject, adjective=None)
        than = _phrase(rng, [subject.noun.kind], _DEFINITE, exclude={subject.noun})
        than = dataclasses.replace(than, adjective=None)
        return Clause(subject, None, "simple", quality=rng.choice(compared), than=than)
    if time:
        qualities = [quality for quality in qualities if quality.english[0] in _PASSING]
    return Clause(subject, None, tense, negative, quality=rng.choice(qualities), time=time)


def _adjectives(noun: Noun | None) -> list[Adjective]:
    names = {noun.kind, noun.english[0]} if noun else {"person"}
    return [adjective for adjective in lexicon.ADJECTIVES if names & adjective.kinds]


def _subject(
    rng: random.Random,
    kinds: Collection[str],
    determiners: dict[str, int] | None = None,
    depth: int = 0,
    pronouns: float = 0.2,
) -> Phrase | Pronoun:
    if "person" in kinds and rng.random() < pronouns:
        return rng.choice(lexicon.PRONOUNS)
    phrase = _phrase(rng, kinds, determiners or _DETERMINERS, depth)
    if phrase.relative is None and rng.random() < 0.08:
        partner = _phrase(rng, [phrase.noun.kind], _DEFINITE, exclude={phrase.noun})
        return dataclasses.replace(phrase, partner=partner)
    return phrase


def _object(
    rng: random.Random, verb: Verb, negative: bool, depth: int, exclude: set[Noun]
) -> Phrase | None:
    if not verb.objects:
        return None
    determiners = {**_DEFINITE, "a": 40} if negative else _DETERMINERS
    return _phrase(rng, verb.objects, determiners, depth, exclude)


def _phrase(
    rng: random.Random,
    kinds: Collection[str],
    determiners: dict[str, int],
    depth: int = 0,
    exclude: Collection[Noun] = (),
) -> Phrase:
    """A phrase whose noun, or its class, is one of `kinds`."""
    nouns = [n for n in lexicon.NOUNS if (n.kind in kinds or n.english[0] in kinds)]
    noun = rng.choice([noun for noun in nouns if noun not in exclude])
    phrase = Phrase(noun, _pick(rng, determiners))
    if rng.random() < 0.25:
        phrase = dataclasses.replace(phrase, adjective=rng.choice(_adjectives(noun)))
    if depth and phrase.determiner != "my" and rng.random() < 0.2:
        return dataclasses.replace(phrase, relative=_relative(rng, phrase, depth - 1))
    return phrase


def _relative(rng: random.Random, head: Phrase, depth: int) -> Clause | None:
    """A clause about `head`, as its subject or its object."""
    noun, names = head.noun, {head.noun.kind, head.noun.english[0]}
    as_subject = noun.kind == "person" or (noun.kind == "animal" and rng.random() < 0.4)
    verbs = [v for v in lexicon.VERBS if names & (v.subjects if as_subject else v.objects)]
    verb = rng.choice([verb for verb in verbs if set(verb.tenses) & set("csp")])
    # Chinese has no short past relative clause of a verb without an object.
    letter = rng.choice([t for t in verb.tenses if t in ("csp" if verb.objects else "cs")])
    tense = _TENSES[letter]
    if as_subject:
        gap = Gap(plural=head.plural)
        negative = rng.random() < 0.1
        thing = _object(rng, verb, negative, depth, {noun})
        return Clause(gap, verb, tense, negative, object=thing, place=_scene(rng, verb, letter))
    subject = _subject(rng, verb.subjects, _DEFINITE, depth)
    if isinstance(subject, Phrase) and subject.noun == noun:
        return None
    return Clause(subject, verb, tense, object=Gap())


def _scene(rng: random.Random, verb: Verb, letter: str) -> Place | None:
    """Where a verb's action takes place; a verb of going always says where to."""
    if verb is lexicon.GOING:
        return _at(rng)
    # The place of another motion would read as its goal, and a state has none.
    if verb.german_rule == "sein" or letter == "s" or verb in lexicon.GIVING:
        return None
    return _at(rng) if rng.random() < (0.15 if verb.objects else 0.5) else None


def _at(rng: random.Random) -> Place:
    relation, noun = rng.choice(lexicon.PLACES)
    adjective = rng.choice(_adjectives(noun)) if rng.random() < 0.2 else None
    return Place(relation, Phrase(noun, "the", adjective))


def _beside(rng: random.Random, exclude: Noun | None) -> Place:
    phrase = _phrase(rng, ["table", "chair", "car", "box", "lamp", "window"], {"the": 1})
    while phrase.noun == exclude:
        phrase = _phrase(rng, ["table", "chair", "car", "box", "lamp", "window"], {"the": 1})
    return Place(rng.choice(lexicon.RELATIONS), phrase)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tflm.tasks.demo_corpus FOLDER [de|zh]")
    write_demo_corpus(*sys.argv[1:3])
