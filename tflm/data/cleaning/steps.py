"""What cleaning is made of: steps that change the texts of a row or drop the row, by name.

    parse_steps(["unicode", "whitespace", "length:max=300", "script"], languages="en-zh")

A step is a frozen dataclass of scalars in a file of this folder; adding the file is all it takes.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import tflm.data.cleaning

Row = tuple[str, ...]
Clean = Callable[[str], str]
Apply = Callable[[Row], Row | None]


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that is done to every row; its fields are the parameters that a user may set.

    A step with a field `languages` is told the languages of the texts: codes with hyphens between,
    one for each text or one for all, "en-zh" say.

    Attributes:
        NAME: What users call it.
    """

    NAME: ClassVar[str] = ""

    def begin(self, num_texts: int) -> Apply:
        """What one pass over the rows does: the texts of a row -> new ones, or `None` to drop it.

        Args:
            num_texts: Texts of a row.
        """
        raise NotImplementedError

    @property
    def spec(self) -> str:
        """The name with every parameter, which `parse_step` reads."""
        values = dataclasses.asdict(self).items()
        return f"{self.NAME}:{','.join(f'{name}={value}' for name, value in values)}".rstrip(":")


class TextStep(Step):
    """A step that changes each text by itself; a subclass writes `clean`, or `cleans`.

    What it does twice is what it does once.
    """

    def clean(self, text: str) -> str:
        """The text, changed."""
        raise NotImplementedError

    def cleans(self, num_texts: int) -> list[Clean]:
        """What changes each of a row's texts."""
        return [self.clean] * num_texts

    def begin(self, num_texts: int) -> Apply:
        """The texts, changed; a row is dropped where nothing is left of one of them."""
        cleans = self.cleans(num_texts)

        def apply(row: Row) -> Row | None:
            changed = tuple(clean(text) for clean, text in zip(cleans, row, strict=True))
            return None if any(not text or text.isspace() for text in changed) else changed

        return apply


class RowStep(Step):
    """A step that keeps or drops each row by itself; a subclass writes `keeps`."""

    def keeps(self, row: Row) -> bool:
        """Whether a row, given its texts, is kept."""
        raise NotImplementedError

    def begin(self, num_texts: int) -> Apply:
        """The texts as they are, of the rows that are kept."""
        return lambda row: row if self.keeps(row) else None


def known_steps() -> dict[str, type[Step]]:
    """Every step's class by its name."""
    for module in pkgutil.iter_modules(tflm.data.cleaning.__path__):
        importlib.import_module(f"tflm.data.cleaning.{module.name}")
    return {cls.NAME: cls for cls in _subclasses(Step) if cls.NAME}


def _subclasses(cls: type[Step]) -> Iterator[type[Step]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def parse_step(spec: str, languages: str = "") -> Step:
    """ "length:max=300" -> the step, its parameters typed as their defaults are.

    Args:
        spec: A name; or a name, a colon, and parameters as `name=value` with commas between.
        languages: Of the texts, for a step that depends on them and is not told.

    Raises:
        ValueError: The step or a parameter is unknown (the message lists the known ones), or a
            value is not what it must be.
    """
    name, _, parameters = spec.partition(":")
    known = known_steps()
    if name not in known:
        raise ValueError(f"`clean` must name one of {sorted(known)}. Received: {spec!r}")
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(known[name])}
    values: dict[str, Any] = {"languages": languages} if languages and "languages" in kinds else {}
    for parameter in filter(None, parameters.split(",")):
        key, _, value = parameter.partition("=")
        if key not in kinds:
            raise ValueError(
                f"`clean` must give {name} parameters of {sorted(kinds)}. Received: {spec!r}"
            )
        kind = kinds[key]
        try:
            values[key] = kind(value)
        except ValueError:
            raise ValueError(
                f"`clean` must give {key} a value of type {kind.__name__}. Received: {spec!r}"
            ) from None
    return known[name](**values)


def parse_steps(specs: Iterable[str | Step], languages: str = "") -> tuple[Step, ...]:
    """Steps by their names, see `parse_step`, in their order; a step stays as it is.

    Raises:
        ValueError: As `parse_step`.
    """
    return tuple(parse_step(spec, languages) if isinstance(spec, str) else spec for spec in specs)


def languages_of(languages: str, num_texts: int) -> list[str]:
    """The language code of each text, without what follows "_": "en-zh_TW" -> ["en", "zh"].

    Raises:
        ValueError: There is not one code, nor one for each text.
    """
    codes = [code.partition("_")[0].lower() for code in languages.split("-")]
    codes *= num_texts if len(codes) == 1 else 1
    if len(codes) != num_texts or not all(codes):
        raise ValueError(
            "`languages` must be one code, or one for each text with hyphens between. "
            f"Received: languages={languages!r}, {num_texts} texts"
        )
    return codes
