"""The versions of a model on the disk, and which of them a policy serves."""

import dataclasses
import os
import pathlib
import re

_NUMBER = re.compile("[0-9]+")
_LARGEST = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Which versions are served: the newest, all, or those named.

    Args:
        latest: how many of the newest; `None` for all.
        specific: the versions by number, whatever `latest` is.
    """

    latest: int | None = 1
    specific: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "VersionPolicy":
        """Reads "latest", "latest:2", "all" or "specific:1,3".

        Raises:
            ValueError: it is something else.
        """
        kind, _, numbers = text.partition(":")
        if kind == "all" and not numbers:
            return cls(latest=None)
        values = [int(each) for each in numbers.split(",") if _NUMBER.fullmatch(each)]
        if kind == "latest" and (not numbers or (len(values) == 1 and values[0] > 0)):
            return cls(latest=values[0] if values else 1)
        if kind == "specific" and len(values) == numbers.count(",") + 1:
            return cls(specific=tuple(values))
        raise ValueError(
            "`version_policy` must be latest, latest:N, all or specific:N,N. "
            f"Received: version_policy={text!r}"
        )

    def choose(self, versions: dict[int, pathlib.Path]) -> dict[int, pathlib.Path]:
        """Those to serve, of the versions that there are."""
        if self.specific:
            return {number: versions[number] for number in self.specific if number in versions}
        newest = sorted(versions, reverse=True)[: self.latest]
        return {number: versions[number] for number in newest}


def find_versions(base_path: str | os.PathLike[str]) -> dict[int, pathlib.Path]:
    """The directories in a model's directory whose names are numbers, by number.

    An export under way has another name until it is renamed, so it is not seen.
    """
    found = {}
    for child in pathlib.Path(base_path).iterdir():
        if _NUMBER.fullmatch(child.name) and int(child.name) <= _LARGEST and child.is_dir():
            found[int(child.name)] = child
    return found


def fingerprint(directory: pathlib.Path) -> frozenset[tuple[str, int, int]]:
    """What changes when a file of a version does: names, sizes and times of change."""
    found = set()
    for path in directory.rglob("*"):
        try:
            stat = path.stat()
        except OSError:  # gone since it was listed
            continue
        found.add((str(path.relative_to(directory)), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
