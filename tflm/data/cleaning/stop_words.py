"""Stop words: words that tell little about what a text is about, for baselines that count words.

A network reads them, and translation and generation need them: only what sees a text as a bag of
words gains by leaving them out. The lists are short; negations are not on them.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import ClassVar

from tflm.data.cleaning.steps import Clean, TextStep, languages_of

STOP_WORDS: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        "a about after all also am an and any are as at be because been before being but by can "
        "could did do does doing down during each for from had has have having he her here hers "
        "him his how i i'd i'll i'm i've if in into is it it's its itself just me more most my of "
        "off on once only or other our ours out over own same she should so some such than that "
        "that's the their theirs them then there these they they're this those through to too "
        "under until up us very was we we're were what when where which while who whom why will "
        "with would you you're your yours".split()
    ),
    "de": frozenset(
        "aber alle allem allen aller alles als also am an auch auf aus bei bin bis bist da damit "
        "dann das dass dein deine dem den denn der des dich die dies diese diesem diesen dieser "
        "dieses dir doch dort du durch ein eine einem einen einer eines er es euch euer für hab "
        "habe haben hast hat hatte hatten hier ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in "
        "ins ist ja jede jedem jeden jeder jedes kann können man mein meine meinem meinen meiner "
        "mich mir mit nach noch nun nur ob oder schon sehr sein seine seinem seinen seiner sich "
        "sie sind so über um und uns unser unsere unter vom von vor war waren warst was weil wenn "
        "wer werden wie wieder wir wird wo wurde wurden zu zum zur zwischen".split()
    ),
    "zh": frozenset(
        "的 地 得 了 着 过 们 吗 呢 吧 啊 呀 嘛 和 与 及 或 而 但 但是 而且 或者 以及 因为 所以 "
        "如果 虽然 我 你 他 她 它 您 我们 你们 他们 她们 它们 咱们 这 那 这个 那个 这些 那些 "
        "这里 那里 这样 那样 是 在 把 被 对 从 向 于 之 就 都 也 还 又 很 一个 "
        "什么 怎么 哪 谁".split()
    ),
}
# Chinese does not write words apart. In these the characters above are part of another word.
_CHINESE_WORDS = (
    "目的 的确 的士 土地 地方 地球 地址 地图 地区 地铁 地位 天地 各地 本地 外地 当地 基地 场地 "
    "得到 得意 获得 取得 值得 觉得 记得 懂得 了解 了不起 为了 除了 着急 着手 着火 过去 过程 过年 "
    "通过 经过 超过 不过 难过 和平 温和 暖和 和谐 饱和 参与 与会 以及 及时 及格 普及 来不及 或许 "
    "反而 然而 因而 自我 其他 他人 吉他 但愿 是非 于是 关于 由于 终于 在线 现在 存在 实在 正在 "
    "内在 潜在 把握 对于 对方 对象 对手 对比 反对 面对 绝对 相对 从来 从事 从此 方向 向来 一向 "
    "倾向 之前 之后 之间 总之 成就 就业 首都 都市 成都 也许 还是 还有 还钱 呼吁 酒吧 网吧 被子 "
    "就是 可是 只是 总是 要是 老是 凡是 是否 或是"
).split()

_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclasses.dataclass(frozen=True)
class StopWords(TextStep):
    """Texts without their language's stop words, in single spaces.

    Chinese words are taken out wherever they stand, but for inside of some dozens of other words.

    Args:
        languages: Codes of the texts' languages, see `Step`, of `STOP_WORDS`.

    Raises:
        ValueError: `languages` is missing, of another number (from `begin`) or names one without a
            list.
    """

    NAME: ClassVar[str] = "stop_words"

    languages: str = ""

    def __post_init__(self) -> None:
        for code in languages_of(self.languages, self.languages.count("-") + 1):
            if code not in STOP_WORDS:
                raise ValueError(
                    f"`languages` of `stop_words` must be of {', '.join(sorted(STOP_WORDS))}. "
                    f"Received: languages={self.languages!r}"
                )

    def cleans(self, num_texts: int) -> list[Clean]:
        """What takes out each text's own stop words."""
        codes = languages_of(self.languages, num_texts)
        return [functools.partial(without_stop_words, language=code) for code in codes]


def without_stop_words(text: str, language: str) -> str:
    """A text without the stop words of a language, one of `STOP_WORDS`."""
    shorter = _without_once(text, language)
    while shorter != text:  # what stood on both sides of a word may be one itself
        text, shorter = shorter, _without_once(shorter, language)
    return shorter


def _without_once(text: str, language: str) -> str:
    listed = STOP_WORDS[language]
    if language == "zh":
        text = _chinese().sub(lambda found: "" if found[0] in listed else found[0], text)
    else:
        text = _WORD.sub(
            lambda found: "" if found[0].casefold().replace("’", "'") in listed else found[0], text
        )
    return " ".join(text.split())


@functools.cache
def _chinese() -> re.Pattern[str]:
    """Stop words and the words that hold them, the longest first."""
    words = sorted({*STOP_WORDS["zh"], *_CHINESE_WORDS}, key=lambda word: (-len(word), word))
    return re.compile("|".join(words))
