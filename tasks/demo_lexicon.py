"""The words of the demonstration corpus in English, German and Chinese, as tables and as records.

    teacher teachers m Lehrer Lehrer 老师 位
    find/found/finding finden/findet/gefunden 找到 person thing,animal,text pfm -

`tflm.tasks.demo_corpus` makes sentences of them.
"""

import dataclasses

NOUN_CLASSES = ("person", "animal", "food", "text", "thing")

# English singular and plural; German gender, singular (nominative/other cases) and plural; Chinese
# noun and measure word.
_NOUNS = {
    "person": """
        teacher teachers m Lehrer Lehrer 老师 位
        doctor doctors m Arzt Ärzte 医生 位
        woman women f Frau Frauen 女人 个
        man men m Mann Männer 男人 个
        child children n Kind Kinder 孩子 个
        girl girls n Mädchen Mädchen 女孩 个
        boy boys m Junge/Jungen Jungen 男孩 个
        friend friends m Freund Freunde 朋友 位
        student students m Student/Studenten Studenten 学生 个
        neighbor neighbors m Nachbar/Nachbarn Nachbarn 邻居 位
        farmer farmers m Bauer/Bauern Bauern 农民 位
        aunt aunts f Tante Tanten 阿姨 位
        uncle uncles m Onkel Onkel 叔叔 位
        cook cooks m Koch Köche 厨师 位
        painter painters m Maler Maler 画家 位
        singer singers f Sängerin Sängerinnen 歌手 位
        king kings m König Könige 国王 位
        queen queens f Königin Königinnen 女王 位
        guest guests m Gast Gäste 客人 位""",
    "animal": """
        dog dogs m Hund Hunde 狗 只
        cat cats f Katze Katzen 猫 只
        horse horses n Pferd Pferde 马 匹
        bird birds m Vogel Vögel 鸟 只
        rabbit rabbits n Kaninchen Kaninchen 兔子 只
        cow cows f Kuh Kühe 牛 头
        monkey monkeys m Affe/Affen Affen 猴子 只
        bear bears m Bär/Bären Bären 熊 只
        goat goats f Ziege Ziegen 山羊 只
        duck ducks f Ente Enten 鸭子 只
        fox foxes m Fuchs Füchse 狐狸 只
        lion lions m Löwe/Löwen Löwen 狮子 头""",
    "food": """
        apple apples m Apfel Äpfel 苹果 个
        carrot carrots f Karotte Karotten 胡萝卜 根
        pear pears f Birne Birnen 梨 个
        banana bananas f Banane Bananen 香蕉 根
        orange oranges f Orange Orangen 橙子 个
        cake cakes m Kuchen Kuchen 蛋糕 个
        egg eggs n Ei Eier 鸡蛋 个""",
    "text": """
        book books n Buch Bücher 书 本
        letter letters m Brief Briefe 信 封
        story stories f Geschichte Geschichten 故事 个
        poem poems n Gedicht Gedichte 诗 首
        newspaper newspapers f Zeitung Zeitungen 报纸 份""",
    "thing": """
        table tables m Tisch Tische 桌子 张
        chair chairs m Stuhl Stühle 椅子 把
        car cars n Auto Autos 汽车 辆
        bicycle bicycles n Fahrrad Fahrräder 自行车 辆
        hat hats m Hut Hüte 帽子 顶
        coat coats m Mantel Mäntel 大衣 件
        shirt shirts n Hemd Hemden 衬衫 件
        knife knives n Messer Messer 刀 把
        lamp lamps f Lampe Lampen 灯 盏
        flower flowers f Blume Blumen 花 朵
        picture pictures n Bild Bilder 画 幅
        cup cups f Tasse Tassen 杯子 个
        key keys m Schlüssel Schlüssel 钥匙 把
        umbrella umbrellas m Regenschirm Regenschirme 雨伞 把
        watch watches f Uhr Uhren 手表 块
        bag bags f Tasche Taschen 包 个
        window windows n Fenster Fenster 窗户 扇
        door doors f Tür Türen 门 扇
        box boxes f Kiste Kisten 箱子 个""",
}

# English preposition and noun; German preposition, gender and noun; Chinese noun and suffix.
_PLACES = """
    in garden in m Garten 花园 里
    in kitchen in f Küche 厨房 里
    in park in m Park 公园 里
    at school in f Schule 学校 里
    in library in f Bibliothek 图书馆 里
    at market auf m Markt 市场 上
    in house in n Haus 房子 里
    in forest in m Wald 森林 里
    in village in n Dorf 村子 里
    in city in f Stadt 城市 里
    in hospital in n Krankenhaus 医院 里
    in station in m Bahnhof 火车站 里
    by river an m Fluss 河边 -
    at beach an m Strand 海滩 上
    in restaurant in n Restaurant 餐厅 里
    in museum in n Museum 博物馆 里
    in shop in m Laden 商店 里
    in office in n Büro 办公室 里"""

# English preposition, German preposition, Chinese suffix.
_RELATIONS = "under unter 下面; behind hinter 后面; in_front_of vor 前面; next_to neben 旁边"

# English positive and comparative; German positive (predicative/attributive) and comparative;
# Chinese predicative (- where only attributive) and attributive; the nouns or classes it goes with.
_ADJECTIVES = """
    big bigger groß größer 大 大 animal,thing,food,place
    small smaller klein kleiner 小 小 animal,thing,food,place
    old older alt älter 老 老 animal
    old older alt älter 旧 旧 thing,place
    new newer neu neuer 新 新 thing,text
    young younger jung jünger 年轻 年轻的 person
    friendly friendlier freundlich freundlicher 友好 友好的 person
    happy happier glücklich glücklicher 快乐 快乐的 person
    smart smarter klug klüger 聪明 聪明的 person,animal
    strong stronger stark stärker 强壮 强壮的 person,animal
    famous - berühmt - 有名 有名的 person
    rich richer reich reicher 富有 富有的 person
    tired - müde - 累 疲惫的 person,animal
    hungry - hungrig - 饿 饥饿的 person,animal
    dangerous - gefährlich - 危险 危险的 bear,lion,fox
    red - rot - - 红色的 thing
    blue - blau - - 蓝色的 thing
    green - grün - - 绿色的 thing
    white - weiß - - 白色的 thing,animal
    black - schwarz - - 黑色的 thing,animal
    brown - braun - - 棕色的 animal
    beautiful - schön - 漂亮 漂亮的 thing,animal,place
    expensive - teuer/teur - 贵 昂贵的 thing,food
    cheap cheaper billig billiger 便宜 便宜的 thing,food
    heavy heavier schwer schwerer 重 沉重的 thing
    fresh - frisch - 新鲜 新鲜的 food
    interesting - interessant - 有趣 有趣的 text
    boring - langweilig - 无聊 无聊的 text
    quiet quieter ruhig ruhiger 安静 安静的 place"""

# English base/past/-ing (+particle); German infinitive (prefix|stem)/third person/participle;
# Chinese; who does it; to what (classes or nouns, - for nothing); tenses (continuous, simple, past,
# future, modal); German peculiarities: `sein` auxiliary, `dat` object, `auf` + accusative.
_VERBS = """
    sleep/slept/sleeping schlafen/schläft/geschlafen 睡觉 person,animal - cpfm -
    work/worked/working arbeiten/arbeitet/gearbeitet 工作 person - cpfm -
    play/played/playing spielen/spielt/gespielt 玩 child,girl,boy,animal - cpfm -
    sing/sang/singing singen/singt/gesungen 唱歌 person - cpfm -
    dance/danced/dancing tanzen/tanzt/getanzt 跳舞 person - cpfm -
    laugh/laughed/laughing lachen/lacht/gelacht 笑 person - cpf -
    cry/cried/crying weinen/weint/geweint 哭 person - cpf -
    swim/swam/swimming schwimmen/schwimmt/geschwommen 游泳 person,dog,bear,duck - cpfm sein
    run/ran/running laufen/läuft/gelaufen 跑步 person - cpfm sein
    study/studied/studying lernen/lernt/gelernt 学习 student,child,girl,boy,friend - cpfm -
    read/read/reading lesen/liest/gelesen 读 person text cpfm -
    write/wrote/writing schreiben/schreibt/geschrieben 写 person book,letter,story,poem cpfm -
    buy/bought/buying kaufen/kauft/gekauft 买 person thing,food,book,newspaper,animal cpfm -
    sell/sold/selling verkaufen/verkauft/verkauft 卖 person thing,food,book,animal cpfm -
    eat/ate/eating essen/isst/gegessen 吃 person food cpfm -
    see/saw/- sehen/sieht/gesehen 看见 person,animal person,animal,thing sp -
    find/found/- finden/findet/gefunden 找到 person thing,animal,text pfm -
    like/-/- mögen/mag/- 喜欢 person person,animal,food,text,thing s -
    love/-/- lieben/liebt/- 爱 person person,animal s -
    know/-/- kennen/kennt/- 认识 person person s -
    help/helped/helping helfen/hilft/geholfen 帮助 person person cpfm dat
    thank/thanked/thanking danken/dankt/gedankt 感谢 person person cpfm dat
    visit/visited/visiting besuchen/besucht/besucht 拜访 person person cpfm -
    pick/picked/picking+up ab|holen/holt/abgeholt 接 person person cpfm -
    wait/waited/waiting+for warten/wartet/gewartet 等 person person cpfm auf
    look/looked/looking+for suchen/sucht/gesucht 找 person thing,animal,book,letter cpfm -
    open/opened/opening auf|machen/macht/aufgemacht 打开 person door,window,box,bag,letter cpfm -
    close/closed/closing zu|machen/macht/zugemacht 关上 person door,window,box pfm -
    repair/repaired/repairing reparieren/repariert/repariert 修理 person car,bicycle,watch cpfm -
    carry/carried/carrying tragen/trägt/getragen 搬 person box,table,chair cpfm -
    paint/painted/painting malen/malt/gemalt 画 person animal,flower,child cpfm -
    feed/fed/feeding füttern/füttert/gefüttert 喂 person animal cpfm -
    wash/washed/washing waschen/wäscht/gewaschen 洗 person shirt,coat,cup,car,dog,horse cpfm -
    break/broke/- zerbrechen/zerbricht/zerbrochen 打破 person cup,window,lamp p -
    lose/lost/- verlieren/verliert/verloren 丢 person key,watch,umbrella,hat,bag,book,letter p -
    watch/watched/watching beobachten/beobachtet/beobachtet 观察 person,animal animal cpfm -
    chase/chased/chasing jagen/jagt/gejagt 追 animal animal cpfm -"""

_GIVING = """
    give/gave/giving geben/gibt/gegeben 给 person food,text,flower,key,umbrella,watch,picture cpfm -
    bring/brought/bringing bringen/bringt/gebracht 带给 person food,book,cup,coat,letter cpfm -
    send/sent/sending schicken/schickt/geschickt 寄给 person letter,book,poem,picture,watch cpfm -
    lend/lent/lending leihen/leiht/geliehen 借给 person book,car,bicycle,umbrella,coat cpfm -"""

_GOING = "go/went/- gehen/geht/gegangen 去 person - pfm sein"

_THINKING = """
    know/-/- wissen/weiß/- 知道 person - s -
    say/-/- sagen/sagt/- 说 person - s -
    think/-/- denken/denkt/- 认为 person - s -
    believe/-/- glauben/glaubt/- 相信 person - s -
    hope/-/- hoffen/hofft/- 希望 person - s -"""

# Tenses; English, German, Chinese.
_TIMES = """
    p yesterday gestern 昨天
    p last_night gestern_Abend 昨晚
    p last_week letzte_Woche 上周
    p this_morning heute_Morgen 今天早上
    c now jetzt 现在
    c today heute 今天
    m today heute 今天
    m tomorrow morgen 明天
    f tomorrow morgen 明天
    f next_week nächste_Woche 下周
    f tonight heute_Abend 今晚"""


@dataclasses.dataclass(frozen=True)
class Noun:
    """A noun: English forms, German gender and forms, Chinese noun and measure word."""

    kind: str
    english: tuple[str, str]
    gender: str
    german: tuple[str, str, str]  # singular nominative, singular elsewhere, plural
    chinese: str
    measure: str


@dataclasses.dataclass(frozen=True)
class Adjective:
    """An adjective; an empty comparative or Chinese predicate means it has none."""

    english: tuple[str, str]
    german: tuple[str, str, str]  # predicative, attributive stem, comparative
    chinese: tuple[str, str]  # predicative, attributive
    kinds: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Verb:
    """A verb, who may do it, to what, and in which tenses."""

    english: tuple[str, str, str]  # base, past, -ing
    particle: str
    german: tuple[str, str, str, str]  # prefix, infinitive, third person, participle
    chinese: str
    subjects: frozenset[str]
    objects: frozenset[str]
    tenses: str
    german_rule: str


@dataclasses.dataclass(frozen=True)
class Relation:
    """A preposition of place: English, German (with dative), Chinese suffix."""

    english: str
    german: str
    chinese: str


@dataclasses.dataclass(frozen=True)
class Time:
    """An adverb of time and the tense it goes with."""

    tense: str
    english: str
    german: str
    chinese: str


@dataclasses.dataclass(frozen=True)
class Pronoun:
    """A subject pronoun; `person` is "first", "third" or "plural"."""

    english: str
    german: str
    chinese: str
    person: str


def _rows(table: str) -> list[list[str]]:
    """The words of each line; `_` stands for a space within a word, a lone `-` for nothing."""
    lines = (line.split() for line in table.strip().splitlines())
    return [["" if word == "-" else word.replace("_", " ") for word in line] for line in lines]


def _noun(kind: str, row: list[str]) -> Noun:
    singular, plural, gender, german, german_plural, chinese, measure = row
    nominative, _, oblique = german.partition("/")
    forms = (nominative, oblique or nominative, german_plural)
    return Noun(kind, (singular, plural), gender, forms, chinese, measure)


def _place(row: list[str]) -> tuple[Relation, Noun]:
    english, noun, german, gender, german_noun, chinese, suffix = row
    forms = (german_noun, german_noun, "")
    return Relation(english, german, suffix), Noun("place", (noun, ""), gender, forms, chinese, "")


def _adjective(row: list[str]) -> Adjective:
    positive, comparative, german, german_comparative, predicate, attribute, kinds = row
    predicative, _, stem = german.partition("/")
    # A German adjective in -e drops it before an ending; every comparative here is regular.
    forms = (predicative, stem or predicative.removesuffix("e"), german_comparative)
    english = (positive, comparative)
    return Adjective(english, forms, (predicate, attribute), frozenset(kinds.split(",")))


def _verb(row: list[str]) -> Verb:
    english, german, chinese, subjects, objects, tenses, rule = row
    forms, _, particle = english.partition("+")
    base, past, continuous = (form.strip("-") for form in forms.split("/"))
    infinitive, third, participle = (form.strip("-") for form in german.split("/"))
    prefix, separable, stem = infinitive.rpartition("|")
    return Verb(
        (base, past, continuous),
        particle,
        (prefix if separable else "", stem, third, participle),
        chinese,
        frozenset(subjects.split(",")),
        frozenset(objects.split(",")) - {""},
        tenses,
        rule,
    )


NOUNS = [_noun(kind, row) for kind in NOUN_CLASSES for row in _rows(_NOUNS[kind])]
PLACES = [_place(row) for row in _rows(_PLACES)]
RELATIONS = [Relation(*row) for row in _rows(_RELATIONS.replace(";", "\n"))]
ADJECTIVES = [_adjective(row) for row in _rows(_ADJECTIVES)]
VERBS = [_verb(row) for row in _rows(_VERBS)]
GIVING = [_verb(row) for row in _rows(_GIVING)]
GOING = _verb(_rows(_GOING)[0])
THINKING = [_verb(row) for row in _rows(_THINKING)]
TIMES = [Time(*row) for row in _rows(_TIMES)]
PRONOUNS = [
    Pronoun("I", "ich", "我", "first"),
    Pronoun("he", "er", "他", "third"),
    Pronoun("she", "sie", "她", "third"),
    Pronoun("we", "wir", "我们", "plural"),
    Pronoun("they", "sie", "他们", "plural"),
]
