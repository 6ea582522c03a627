"""What the sentences of the demonstration corpus mean, and how three languages say it.

A meaning is a tree of `Sentence`, `Clause`, `Phrase` and `Place`. `english`, `german` and `chinese`
each turn the same tree into text by rules of their own:

    en   The farmer who sold the horse is not waiting for my neighbor.
    de   Der Bauer, der das Pferd verkauft hat, wartet nicht auf meinen Nachbarn.
    zh   那位卖了那匹马的农民没有在等我的邻居。
"""

import dataclasses
import re

from tflm.tasks.demo_lexicon import GOING, Adjective, Noun, Pronoun, Relation, Time, Verb

# --- meaning --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A noun and what belongs to it; `determiner` is a key of `DETERMINERS`."""

    noun: Noun
    determiner: str
    adjective: Adjective | None = None
    relative: "Clause | None" = None  # a clause whose gap is this noun
    partner: "Phrase | None" = None  # "... and partner"

    @property
    def plural(self) -> bool:
        """Whether the determiner makes it plural."""
        return DETERMINERS[self.determiner][3]


@dataclasses.dataclass(frozen=True)
class Gap:
    """What a relative clause or a question leaves open; `plural` is the number of a subject."""

    plural: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where it happens; with a verb of going, where to."""

    relation: Relation
    phrase: Phrase


@dataclasses.dataclass(frozen=True)
class Clause:
    """Who does what; without a verb, what someone is like (`quality`) or where someone is."""

    subject: Phrase | Pronoun | Gap
    verb: Verb | None
    tense: str  # continuous, simple, past, future, or a key of `MODALS`
    negative: bool = False
    recipient: Phrase | None = None
    object: Phrase | Gap | None = None
    quality: Adjective | None = None
    than: Phrase | None = None
    place: Place | Gap | None = None
    time: Time | None = None
    time_first: bool = False


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A clause, or two with a `connective` of `CONNECTIVES`; a question asks for the gap."""

    main: Clause
    connective: str = ""
    other: Clause | None = None
    question: bool = False


# English, German stem, Chinese; the last is whether it is plural.
DETERMINERS = {
    "the": ("the", "d", "那", False),
    "the plural": ("the", "d", "那些", True),
    "a": ("a", "ein", "一", False),
    "this": ("this", "dies", "这", False),
    "these": ("these", "dies", "这些", True),
    "my": ("my", "mein", "我的", False),
    "two": ("two", "zwei", "两", True),
    "three": ("three", "drei", "三", True),
    "some": ("some", "einig", "一些", True),
    "many": ("many", "viel", "很多", True),
}

# English; German first and third person singular, plural; Chinese.
MODALS = {
    "can": ("can", "kann kann können", "能"),
    "want": ("want to", "will will wollen", "想"),
    "should": ("should", "soll soll sollen", "应该"),
    "must": ("must", "muss muss müssen", "必须"),
}

# {m} is the main clause, {o} the other; German: how each orders its verb.
CONNECTIVES = {
    "because": ("{m} because {o}", "{m} , weil {o}", "second last", "因为{o}，所以{m}"),
    "although": ("although {o} , {m}", "obwohl {o} , {m}", "first last", "虽然{o}，但是{m}"),
    "if": ("if {o} , {m}", "wenn {o} , {m}", "first last", "如果{o}，{m}"),
    "while": ("while {o} , {m}", "während {o} , {m}", "first last", "{o}的时候，{m}"),
    "that": ("{m} that {o}", "{m} , dass {o}", "second last", "{m}{o}"),
    "and": ("{m} and {o}", "{m} und {o}", "second second", "{m}，{o}"),
    "but": ("{m} , but {o}", "{m} , aber {o}", "second second", "{m}，但是{o}"),
}


def _person(subject: Phrase | Pronoun | Gap) -> int:
    """0 first person singular, 1 third person singular, 2 plural."""
    if isinstance(subject, Pronoun):
        return ["first", "third", "plural"].index(subject.person)
    if isinstance(subject, Gap):
        return 2 if subject.plural else 1
    return 2 if subject.plural or subject.partner else 1


def _written(words: str, end: str) -> str:
    """Words and loose commas as a sentence: spaces, commas and the first capital put right."""
    text = re.sub(r"(\s*,)+", ",", " ".join(words.split()))
    return text[0].upper() + text[1:].rstrip(",") + end


# --- English --------------------------------------------------------------------------------------


def english(sentence: Sentence) -> str:
    """The sentence in English."""
    main = sentence.main
    if sentence.question:
        gaps = [("what", main.object), ("where", main.place)]
        words = "".join(f"{word} " for word, part in gaps if isinstance(part, Gap))
        if isinstance(main.subject, Gap):
            return _written("who " + _english_clause(main), "?")
        return _written(words + _english_clause(main, inverted=True), "?")
    words = _english_clause(main)
    if sentence.other:
        pattern = CONNECTIVES[sentence.connective][0]
        words = pattern.format(m=words, o=_english_clause(sentence.other))
    return _written(words, ".")


def _english_clause(clause: Clause, inverted: bool = False) -> str:
    auxiliary, main = _english_verb(clause, inverted or clause.negative)
    subject = _english_phrase(clause.subject)
    time = clause.time.english if clause.time else ""
    words = [auxiliary, subject] if inverted else [subject, auxiliary]
    words += ["not" if clause.negative else "", main]
    words += [_english_phrase(clause.recipient), _english_phrase(clause.object)]
    if clause.quality:
        words += [clause.quality.english[1 if clause.than else 0], "than" if clause.than else ""]
        words += [_english_phrase(clause.than)]
    if isinstance(clause.place, Place):
        preposition = "to" if clause.verb is GOING else clause.place.relation.english
        words += [preposition, _english_phrase(clause.place.phrase)]
    words = [time, *words] if clause.time_first else [*words, time]
    return " ".join(words).replace("can not ", "cannot ")


def _english_verb(clause: Clause, support: bool) -> tuple[str, str]:
    """The auxiliary, empty where the clause needs none, and the rest of the verb."""
    person = _person(clause.subject)
    if clause.verb is None:
        return ("was was were" if clause.tense == "past" else "am is are").split()[person], ""
    base, past, continuous = (f"{form} {clause.verb.particle}" for form in clause.verb.english)
    if clause.tense == "continuous":
        return "am is are".split()[person], continuous
    if clause.tense in ("can", "should", "must"):
        return clause.tense, base
    if clause.tense == "future":
        return "will", base
    if clause.tense == "past":
        return ("did", base) if support else ("", past)
    if clause.tense == "want":
        base = f"want to {base}"
    if support:
        return ("does" if person == 1 else "do"), base
    return "", _english_third(base) if person == 1 else base


def _english_third(base: str) -> str:
    verb, _, rest = base.partition(" ")
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        verb += "es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        verb = verb[:-1] + "ies"
    else:
        verb += "s"
    return f"{verb} {rest}"


def _english_phrase(phrase: Phrase | Pronoun | Gap | None) -> str:
    if phrase is None or isinstance(phrase, Gap):
        return ""
    if isinstance(phrase, Pronoun):
        return phrase.english
    words = f"{phrase.adjective.english[0] if phrase.adjective else ''} "
    words = (words + phrase.noun.english[phrase.plural]).strip()
    determiner = DETERMINERS[phrase.determiner][0]
    if determiner == "a" and words[0] in "aeiou":
        determiner = "an"
    words = f"{determiner} {words}"
    if phrase.relative:
        about_subject = isinstance(phrase.relative.subject, Gap)
        pronoun = "who" if about_subject and phrase.noun.kind == "person" else "that"
        words += f" {pronoun} {_english_clause(phrase.relative)}"
    if phrase.partner:
        words += f" and {_english_phrase(phrase.partner)}"
    return words


# --- German ---------------------------------------------------------------------------------------

_GENDERS = "mfnp"  # p is the plural
_ARTICLES = {"nominative": "er ie as ie", "accusative": "en ie as ie", "dative": "em er em en"}
_CONTRACTIONS = {"in dem ": "im ", "an dem ": "am ", "in das ": "ins ", "an das ": "ans "}
_STRONG = {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"}
_BARE = {("nominative", 0), ("nominative", 2), ("accusative", 2)}  # ein Hund, ein Kind
_WEAK_E = {*_BARE, ("nominative", 1), ("accusative", 1)}  # der kleine Hund


def german(sentence: Sentence) -> str:
    """The sentence in German."""
    main = sentence.main
    if sentence.question:
        gaps = [("wer", main.subject), ("was", main.object), ("wo", main.place)]
        word = next((word for word, part in gaps if isinstance(part, Gap)), "")
        return _written(f"{word} {_german_clause(main, 'first')}", "?")
    if sentence.other is None:
        return _written(_german_clause(main, "second"), ".")
    _, pattern, orders, _ = CONNECTIVES[sentence.connective]
    main_order, other_order = orders.split()
    other = _german_clause(sentence.other, other_order)
    return _written(pattern.format(m=_german_clause(main, main_order), o=other), ".")


def _german_clause(clause: Clause, order: str) -> str:
    """The clause with its finite verb "first", "second" or "last"."""
    finite, prefix, closing = _german_verb(clause)
    subject = _german_phrase(clause.subject, "nominative")
    time = clause.time.german if clause.time else ""
    middle, relative = _german_middle(clause)
    if order == "last":
        return f"{subject} {time} {middle} {closing} {prefix}{finite} {relative}"
    if order == "second" and clause.time_first:
        return f"{time} {finite} {subject} {middle} {closing} {prefix} {relative}"
    front = f"{finite} {subject}" if order == "first" else f"{subject} {finite}"
    return f"{front} {time} {middle} {closing} {prefix} {relative}"


def _german_middle(clause: Clause) -> tuple[str, str]:
    """What stands before the closing verb, and the object's relative clause, which follows it."""
    negation = "nicht" if clause.negative else ""
    rule = clause.verb.german_rule if clause.verb else ""
    thing, after, relative = "", "", ""
    if isinstance(clause.object, Phrase):
        case = "dative" if rule == "dat" else "accusative"
        none = clause.negative and clause.object.determiner == "a" and rule != "auf"
        negation = "" if none else negation
        thing = _german_phrase(clause.object, case, negative=none)
        thing, comma, relative = thing.partition(" ,")
        relative = comma + relative
        if rule == "auf":
            thing, after = "", f"auf {thing}"
    if clause.quality:
        after = clause.quality.german[2 if clause.than else 0]
        after += f" als {_german_phrase(clause.than, 'nominative')}" if clause.than else ""
    recipient = _german_phrase(clause.recipient, "dative")
    return f"{recipient} {thing} {negation} {after} {_german_place(clause)}", relative


def _german_verb(clause: Clause) -> tuple[str, str, str]:
    """The finite verb, its separable prefix, and what closes the clause."""
    person = _person(clause.subject)
    if clause.verb is None:
        forms = "war war waren" if clause.tense == "past" else "bin ist sind"
        return forms.split()[person], "", ""
    prefix, infinitive, third, participle = clause.verb.german
    if clause.tense in ("continuous", "simple"):
        # ich lese, but ich mag and ich weiß: as the third person where that has no -t.
        first = infinitive[:-1] if third.endswith("t") else third
        return (first, third, infinitive)[person], prefix, ""
    if clause.tense == "past":
        auxiliary = "bin ist sind" if clause.verb.german_rule == "sein" else "habe hat haben"
        return auxiliary.split()[person], "", participle
    auxiliary = "werde wird werden" if clause.tense == "future" else MODALS[clause.tense][1]
    return auxiliary.split()[person], "", prefix + infinitive


def _german_place(clause: Clause) -> str:
    if not isinstance(clause.place, Place):
        return ""
    case = "accusative" if clause.verb is GOING else "dative"
    words = f"{clause.place.relation.german} {_german_phrase(clause.place.phrase, case)}"
    for separate, joined in _CONTRACTIONS.items():
        words = words.replace(separate, joined)
    return words


def _german_phrase(phrase: Phrase | Pronoun | Gap | None, case: str, negative: bool = False) -> str:
    if phrase is None or isinstance(phrase, Gap):
        return ""
    if isinstance(phrase, Pronoun):
        return phrase.german
    plural = phrase.plural
    slot = _GENDERS.index("p" if plural else phrase.noun.gender)
    strong = _STRONG[case].split()[slot]
    stem = "kein" if negative else DETERMINERS[phrase.determiner][1]
    # ein, kein and mein lack the endings -er and -es; the adjective bears them instead.
    bare = stem in ("ein", "kein", "mein") and (case, slot) in _BARE
    if stem == "d":
        words = stem + _ARTICLES[case].split()[slot]
    else:
        words = stem if bare or stem in ("zwei", "drei") else stem + strong
    if phrase.adjective:
        if bare or stem in ("zwei", "drei", "einig", "viel"):
            ending = strong
        else:
            ending = "e" if (case, slot) in _WEAK_E else "en"
        words += f" {phrase.adjective.german[1]}{ending}"
    words += f" {_german_noun(phrase.noun, case, plural)}"
    if phrase.relative:
        words += f" , {_german_relative(phrase.relative, slot)} ,"
    if phrase.partner:
        words += f" und {_german_phrase(phrase.partner, case)}"
    return words


def _german_noun(noun: Noun, case: str, plural: bool) -> str:
    nominative, oblique, plural_form = noun.german
    if not plural:
        return nominative if case == "nominative" else oblique
    return plural_form + ("n" if case == "dative" and plural_form[-1] not in "ns" else "")


def _german_relative(clause: Clause, slot: int) -> str:
    rule = clause.verb.german_rule if clause.verb else ""
    case = "dative" if rule == "dat" else "accusative"
    if isinstance(clause.subject, Gap):
        case, rule = "nominative", ""
    pronoun = "d" + _ARTICLES[case].split()[slot]
    pronoun += "en" if pronoun == "den" and case == "dative" else ""
    return f"{'auf ' if rule == 'auf' else ''}{pronoun} {_german_clause(clause, 'last')}"


# --- Chinese --------------------------------------------------------------------------------------

_DEFINITE = ("the", "the plural", "this", "these", "my")
_COUNTED = ("the", "a", "this", "two", "three")


def chinese(sentence: Sentence) -> str:
    """The sentence in Chinese."""
    words = _chinese_clause(sentence.main, question=sentence.question)
    if sentence.question:
        main = sentence.main
        asks = any(isinstance(part, Gap) for part in (main.subject, main.object, main.place))
        return words + ("？" if asks else "吗？")
    if sentence.other:
        pattern = CONNECTIVES[sentence.connective][3]
        words = pattern.format(m=words, o=_chinese_clause(sentence.other))
    return words + "。"


def _chinese_clause(clause: Clause, question: bool = False) -> str:
    """The clause; what it leaves open stays in its place as a question word, or is left out."""
    subject = _chinese_phrase(clause.subject, "谁" if question else "")
    time = clause.time.chinese if clause.time else ""
    start = time + subject if clause.time_first else subject + time
    place = ""
    if isinstance(clause.place, Gap):
        place = "哪里"
    elif clause.place:
        suffix = "" if clause.verb is GOING else clause.place.relation.chinese
        place = _chinese_phrase(clause.place.phrase, "", bare=True) + suffix
    if clause.verb is None:
        return start + _chinese_state(clause, place, question)
    verb = clause.verb.chinese
    goal, place = (place, "") if clause.verb is GOING else ("", place)
    past = clause.tense == "past" and not clause.negative
    if past and not (isinstance(clause.object, Gap) and not question):
        verb += "了"
    recipient = _chinese_phrase(clause.recipient, "")
    thing = _chinese_phrase(clause.object, "什么" if question else "") + goal
    aspect = _chinese_aspect(clause, place)
    definite = isinstance(clause.object, Phrase) and clause.object.determiner in _DEFINITE
    if recipient and definite:
        return f"{start}{aspect}把{thing}{verb}{recipient}"
    return f"{start}{aspect}{verb}{recipient}{thing}"


def _chinese_state(clause: Clause, place: str, question: bool) -> str:
    negation = "不" if clause.negative else ""
    if not clause.quality:
        return f"{negation}在{place}"
    quality = clause.quality.chinese[0]
    if clause.than:
        return f"{negation}比{_chinese_phrase(clause.than, '')}{quality}"
    return (negation or ("" if question else "很")) + quality


def _chinese_aspect(clause: Clause, place: str) -> str:
    """What stands before the verb: negation, aspect or modal verb, and the place."""
    negative = clause.negative
    if clause.tense == "continuous":
        # The 在 of the place is also that of the aspect; 哪里 asks with no more than that.
        if isinstance(clause.place, Gap):
            return f"在{place}"
        return ("没有在" if negative else "正在") + place
    if clause.tense == "past":
        before = "没有" if negative else ""
    else:
        verb = {"simple": "", "future": "会"}.get(clause.tense)
        verb = MODALS[clause.tense][2] if verb is None else verb
        before = f"不{verb}" if negative else verb
    return f"{before}在{place}" if place else before


def _chinese_phrase(phrase: Phrase | Pronoun | Gap | None, gap: str, bare: bool = False) -> str:
    if phrase is None:
        return ""
    if isinstance(phrase, Gap):
        return gap
    if isinstance(phrase, Pronoun):
        return phrase.chinese
    words = ""
    if not bare:
        words = DETERMINERS[phrase.determiner][2]
        words += phrase.noun.measure if phrase.determiner in _COUNTED else ""
    adjective = phrase.adjective.chinese[1] if phrase.adjective else ""
    if adjective.endswith("的"):
        words = words.removesuffix("的")  # 我快乐的朋友, one 的 for both
    relative = f"{_chinese_clause(phrase.relative)}的" if phrase.relative else ""
    if phrase.relative and isinstance(phrase.relative.object, Gap):
        words = relative + words  # 我丢的那个包, but 那位打开箱子的叔叔
    else:
        words += relative
    words += adjective + phrase.noun.chinese
    if phrase.partner:
        words += f"和{_chinese_phrase(phrase.partner, '')}"
    return words
