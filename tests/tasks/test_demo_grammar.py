import dataclasses

import pytest

from tflm.tasks import demo_lexicon as lexicon
from tflm.tasks.demo_grammar import Clause, Gap, Phrase, Place, Sentence, chinese, english, german

NOUNS = {noun.english[0]: noun for noun in lexicon.NOUNS}
VERBS = {verb.english[0]: verb for verb in [*lexicon.VERBS, *lexicon.GIVING, lexicon.GOING]}
VERBS |= {f"{verb.english[0]} that": verb for verb in lexicon.THINKING}
ADJECTIVES = {entry.english[0]: entry for entry in lexicon.ADJECTIVES if entry.english[0] != "old"}
TIMES = {time.english: time for time in lexicon.TIMES}
PRONOUNS = {pronoun.english: pronoun for pronoun in lexicon.PRONOUNS}


def phrase(noun, determiner="the", adjective=None, **more):
    return Phrase(NOUNS[noun], determiner, ADJECTIVES.get(adjective), **more)


def place(name):
    relation, noun = next(row for row in lexicon.PLACES if row[1].english[0] == name)
    return Place(relation, Phrase(noun, "the"))


def do(subject, verb, tense="continuous", **more):
    subject = PRONOUNS.get(subject, subject) if isinstance(subject, str) else subject
    subject = phrase(subject) if isinstance(subject, str) else subject
    return Clause(subject, VERBS.get(verb), tense, **more)


def check(sentence, en, de, zh):
    sentence = Sentence(sentence) if isinstance(sentence, Clause) else sentence
    assert (english(sentence), german(sentence), chinese(sentence)) == (en, de, zh)


def test_the_finite_verb_is_second_in_german_even_after_the_time():
    clause = do("teacher", "buy", "past", object=phrase("book", "a"), time=TIMES["yesterday"])
    check(
        clause,
        "The teacher bought a book yesterday.",
        "Der Lehrer hat gestern ein Buch gekauft.",
        "那位老师昨天买了一本书。",
    )
    check(
        dataclasses.replace(clause, time_first=True),
        "Yesterday the teacher bought a book.",
        "Gestern hat der Lehrer ein Buch gekauft.",
        "昨天那位老师买了一本书。",
    )


def test_the_finite_verb_is_last_in_a_german_subordinate_clause():
    check(
        Sentence(
            do("we", "wait", object=phrase("boy")),
            "because",
            do("king", "open", object=phrase("door")),
        ),
        "We are waiting for the boy because the king is opening the door.",
        "Wir warten auf den Jungen, weil der König die Tür aufmacht.",
        "因为那位国王正在打开那扇门，所以我们正在等那个男孩。",
    )


@pytest.mark.parametrize(
    ("connective", "en", "de", "zh"),
    [
        (
            "although",
            "Although she is hungry, he is sleeping.",
            "Obwohl sie hungrig ist, schläft er.",
            "虽然她很饿，但是他正在睡觉。",
        ),
        (
            "if",
            "If she is hungry, he is sleeping.",
            "Wenn sie hungrig ist, schläft er.",
            "如果她很饿，他正在睡觉。",
        ),
        (
            "while",
            "While she is hungry, he is sleeping.",
            "Während sie hungrig ist, schläft er.",
            "她很饿的时候，他正在睡觉。",
        ),
        (
            "and",
            "He is sleeping and she is hungry.",
            "Er schläft und sie ist hungrig.",
            "他正在睡觉，她很饿。",
        ),
        (
            "but",
            "He is sleeping, but she is hungry.",
            "Er schläft, aber sie ist hungrig.",
            "他正在睡觉，但是她很饿。",
        ),
    ],
)
def test_each_connective_orders_its_clauses(connective, en, de, zh):
    state = do("she", "be", "simple", quality=ADJECTIVES["hungry"])
    check(Sentence(do("he", "sleep"), connective, state), en, de, zh)


def test_a_thought_is_a_clause_of_its_own():
    check(
        Sentence(
            do("I", "know that", "simple"), "that", do("cook", "go", "past", place=place("market"))
        ),
        "I know that the cook went to the market.",
        "Ich weiß, dass der Koch auf den Markt gegangen ist.",
        "我知道那位厨师去了市场。",
    )


def test_place_is_dative_and_goal_accusative():
    check(
        do("child", "play", place=place("garden")),
        "The child is playing in the garden.",
        "Das Kind spielt im Garten.",
        "那个孩子正在花园里玩。",
    )
    check(
        do("child", "go", "future", place=place("garden")),
        "The child will go to the garden.",
        "Das Kind wird in den Garten gehen.",
        "那个孩子会去花园。",
    )
    check(
        do("child", "go", "want", place=place("museum")),
        "The child wants to go to the museum.",
        "Das Kind will ins Museum gehen.",
        "那个孩子想去博物馆。",
    )


@pytest.mark.parametrize(
    ("determiner", "de"),
    [
        ("the", "Der kleine Bär sieht den kleinen Bären."),
        ("a", "Ein kleiner Bär sieht einen kleinen Bären."),
        ("my", "Mein kleiner Bär sieht meinen kleinen Bären."),
        ("this", "Dieser kleine Bär sieht diesen kleinen Bären."),
        ("the plural", "Die kleinen Bären sehen die kleinen Bären."),
        ("two", "Zwei kleine Bären sehen zwei kleine Bären."),
        ("many", "Viele kleine Bären sehen viele kleine Bären."),
    ],
)
def test_german_adjectives_and_weak_nouns_follow_determiner_and_case(determiner, de):
    bear = phrase("bear", determiner, "small")
    assert german(Sentence(do(bear, "see", "simple", object=bear))) == de


@pytest.mark.parametrize(
    ("noun", "determiner", "de"),
    [
        ("woman", "the", "der starken Frau"),
        ("child", "a", "einem starken Kind"),
        ("child", "three", "drei starken Kindern"),
        ("child", "some", "einigen starken Kindern"),
        ("boy", "my", "meinem starken Jungen"),
    ],
)
def test_the_german_dative(noun, determiner, de):
    clause = do("I", "thank", object=phrase(noun, determiner, "strong"))
    assert german(Sentence(clause)) == f"Ich danke {de}."


def test_a_gift_has_a_recipient_before_it_and_chinese_puts_the_known_first():
    check(
        do("she", "lend", "past", recipient=phrase("man"), object=phrase("umbrella", "a")),
        "She lent the man an umbrella.",
        "Sie hat dem Mann einen Regenschirm geliehen.",
        "她借给了那个男人一把雨伞。",
    )
    check(
        do("she", "lend", "past", recipient=phrase("man"), object=phrase("umbrella")),
        "She lent the man the umbrella.",
        "Sie hat dem Mann den Regenschirm geliehen.",
        "她把那把雨伞借给了那个男人。",
    )


def test_negation():
    check(
        do("we", "eat", "past", negative=True, object=phrase("apple", "a")),
        "We did not eat an apple.",
        "Wir haben keinen Apfel gegessen.",
        "我们没有吃一个苹果。",
    )
    check(
        do("he", "repair", "can", negative=True, object=phrase("car")),
        "He cannot repair the car.",
        "Er kann das Auto nicht reparieren.",
        "他不能修理那辆汽车。",
    )
    check(
        do("man", "sing", negative=True, place=place("kitchen")),
        "The man is not singing in the kitchen.",
        "Der Mann singt nicht in der Küche.",
        "那个男人没有在厨房里唱歌。",
    )
    check(
        do("girl", "like", "simple", negative=True, object=phrase("egg", "the plural")),
        "The girl does not like the eggs.",
        "Das Mädchen mag die Eier nicht.",
        "那个女孩不喜欢那些鸡蛋。",
    )


def test_questions():
    dance = do("queen", "dance", "past", place=place("forest"), time=TIMES["last night"])
    check(
        Sentence(dance, question=True),
        "Did the queen dance in the forest last night?",
        "Hat die Königin gestern Abend im Wald getanzt?",
        "那位女王昨晚在森林里跳舞了吗？",
    )
    check(
        Sentence(dataclasses.replace(dance, subject=Gap()), question=True),
        "Who danced in the forest last night?",
        "Wer hat gestern Abend im Wald getanzt?",
        "谁昨晚在森林里跳舞了？",
    )
    check(
        Sentence(do("farmer", "sell", "past", object=Gap()), question=True),
        "What did the farmer sell?",
        "Was hat der Bauer verkauft?",
        "那位农民卖了什么？",
    )
    check(
        Sentence(do("bird", "play", place=Gap()), question=True),
        "Where is the bird playing?",
        "Wo spielt der Vogel?",
        "那只鸟在哪里玩？",
    )


def test_relative_clauses_about_the_subject_and_about_the_object():
    seller = do(Gap(), "sell", "past", object=phrase("horse"))
    check(
        do(
            phrase("farmer", relative=seller),
            "wait",
            negative=True,
            object=phrase("neighbor", "my"),
        ),
        "The farmer who sold the horse is not waiting for my neighbor.",
        "Der Bauer, der das Pferd verkauft hat, wartet nicht auf meinen Nachbarn.",
        "那位卖了那匹马的农民没有在等我的邻居。",
    )
    lost = phrase("bag", relative=do("I", "lose", "past", object=Gap()))
    check(
        do("doctor", "find", "future", object=lost),
        "The doctor will find the bag that I lost.",
        "Der Arzt wird die Tasche finden, die ich verloren habe.",
        "那位医生会找到我丢的那个包。",
    )


def test_the_relative_pronoun_takes_the_case_its_verb_wants():
    helped = phrase("woman", "two", relative=do("we", "help", object=Gap()))
    awaited = phrase("guest", relative=do("we", "wait", object=Gap()))
    check(
        Sentence(do(helped, "cry"), "and", do(awaited, "laugh")),
        "Two women that we are helping are crying and the guest that we are waiting for"
        " is laughing.",
        "Zwei Frauen, denen wir helfen, weinen und der Gast, auf den wir warten, lacht.",
        "我们正在帮助的两个女人正在哭，我们正在等的那位客人正在笑。",
    )


def test_the_verb_agrees_with_a_pair_and_with_a_plural_gap():
    pair = phrase("dog", partner=phrase("cat"))
    check(
        do(pair, "sleep"),
        "The dog and the cat are sleeping.",
        "Der Hund und die Katze schlafen.",
        "那只狗和那只猫正在睡觉。",
    )
    who = phrase("boy", "these", relative=do(Gap(plural=True), "study"))
    check(
        do(who, "be", "simple", quality=ADJECTIVES["tired"]),
        "These boys who are studying are tired.",
        "Diese Jungen, die lernen, sind müde.",
        "这些正在学习的男孩很累。",
    )


def test_comparison_and_whereabouts():
    check(
        do("fox", "be", "simple", quality=ADJECTIVES["smart"], than=phrase("duck", "my")),
        "The fox is smarter than my duck.",
        "Der Fuchs ist klüger als meine Ente.",
        "那只狐狸比我的鸭子聪明。",
    )
    under = Place(lexicon.RELATIONS[0], phrase("table"))
    check(
        do("key", "be", "simple", negative=True, place=under),
        "The key is not under the table.",
        "Der Schlüssel ist nicht unter dem Tisch.",
        "那把钥匙不在桌子下面。",
    )


def test_one_chinese_particle_serves_possessor_and_adjective():
    clause = do("I", "love", "simple", object=phrase("friend", "my", "happy"))
    assert chinese(Sentence(clause)) == "我爱我快乐的朋友。"


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("go", "goes"),
        ("carry", "carries"),
        ("play", "plays"),
        ("wash", "washes"),
        ("look", "looks for"),
    ],
)
def test_the_english_third_person(verb, expected):
    assert english(Sentence(do("he", verb, "simple"))) == f"He {expected}."
