"""Questions asked of a text that does not answer them, made from those that have an answer.

Few data sets have questions without an answer, and a reader that has seen none always finds one.
A question asked of the text next to its own, most often another paragraph of the same article, has
none as a rule; cf. Clark & Gardner 2018, https://arxiv.org/abs/1710.10723, section 3, who read
several paragraphs of an article of which some do not answer. Such questions are easier to tell than
those that people wrote to look answerable (SQuAD 2.0).
"""

import dataclasses
import random
from collections.abc import Sequence

from tflm.data import QuestionExample


def with_unrelated(
    examples: Sequence[QuestionExample], share: float, seed: int = 0
) -> list[QuestionExample]:
    """The examples, and a share of the answerable ones once more with a text beside theirs.

    The other text is the next one, or the one before, that holds none of the answers, in any case
    of letters; a question that has no such neighbour is left alone.

    Args:
        examples: questions in the order of their file, those about a text together.
        share: of the answerable questions, from 0 to 1.
        seed: of the choice.

    Raises:
        ValueError: `share` is not from 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"`share` must be from 0 to 1. Received: share={share}")
    contexts = list(dict.fromkeys(example.context for example in examples))
    place = {context: number for number, context in enumerate(contexts)}
    lower = [context.lower() for context in contexts]
    chance = random.Random(seed)
    found = []
    for example in examples:
        found.append(example)
        if not example.answers or chance.random() >= share:
            continue
        own = place[example.context]
        answers = [text.lower() for text in example.texts]
        for other in (own + 1, own - 1):
            if 0 <= other < len(contexts) and not any(text in lower[other] for text in answers):
                elsewhere = {"context": contexts[other], "answers": (), "is_impossible": True}
                found.append(dataclasses.replace(example, **elsewhere))
                break
    return found
