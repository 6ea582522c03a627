"""Checkpoints from the Hugging Face Hub: only the files needed, checked, of a given revision."""

import contextlib
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tflm.checkpoints.tensors import INDEX_FILE, WEIGHTS_FILE, refuse_other_formats

_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "target_vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "source.spm",
    "target.spm",
)


def is_repository(source: str) -> bool:
    """Whether a string may name a repository: "gpt2", "Helsinki-NLP/opus-mt-en-de"."""
    return _REPOSITORY.fullmatch(source) is not None


def download(repository: str, revision: str | None = None, weights: bool = True) -> pathlib.Path:
    """The directory of a repository's files, downloaded unless they are in the cache.

    Weights that were not in the cache are checked against the hashes that the Hub states.

    Args:
        repository: "owner/name", or a name alone.
        revision: a commit, branch or tag; the main branch by default.
        weights: whether weights are wanted, besides configuration and tokenizer.

    Raises:
        ImportError: huggingface_hub is not installed.
        OSError: there is no such repository or revision, no right to read it, or no network and
            nothing in the cache; or a file came out damaged.
        ValueError: it has no safetensors.
    """
    hub = _library()
    with _explained(hub.errors, repository, revision):
        try:
            info = hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
        except Exception as error:
            if not _is_connection_error(hub.errors, error):
                raise
            return _cached(hub, repository, revision, error)
        # By the name of the revision, which the cache then knows; a branch may have moved on.
        path = pathlib.Path(hub.hf_hub_download(repository, _CONFIG_FILE, revision=revision))
        directory, commit = path.parent, path.parent.name
        if commit != info.sha:
            info = hub.HfApi().model_info(repository, revision=commit, files_metadata=True)
        listed = {file.rfilename: file for file in info.siblings}
        for name in (GENERATION_FILE, *TOKENIZER_FILES):
            if name in listed:
                hub.hf_hub_download(repository, name, revision=commit)
        for name in _weight_files(hub, repository, commit, listed) if weights else ():
            new = hub.try_to_load_from_cache(repository, name, revision=commit) is None
            hub.hf_hub_download(repository, name, revision=commit)
            if new:
                _verify(directory / name, listed[name])
    return directory


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors  # noqa: F401 - loads the submodule
    except ImportError:
        raise ImportError(
            "a repository on the Hugging Face Hub needs huggingface_hub: pip install 'tflm[hub]'"
        ) from None
    return huggingface_hub


@contextlib.contextmanager
def _explained(errors: Any, repository: str, revision: str | None) -> Iterator[None]:
    """Says what the errors of huggingface_hub mean for the one who named a repository."""
    try:
        yield
    except errors.RepositoryNotFoundError:
        raise FileNotFoundError(
            "`source` must be a directory, or a repository on the Hugging Face Hub that exists and "
            f"that you may read. Received: {repository!r}"
        ) from None
    except errors.RevisionNotFoundError:
        raise FileNotFoundError(
            f"`revision` must be one that {repository} has. Received: revision={revision!r}"
        ) from None
    except errors.RemoteEntryNotFoundError:
        raise FileNotFoundError(
            f"`source` must hold {_CONFIG_FILE}. Received: {repository!r}"
        ) from None
    except errors.HfHubHTTPError as error:
        raise OSError(f"the Hugging Face Hub refused {repository!r}: {error}") from error


def _cached(hub: Any, repository: str, revision: str | None, error: Exception) -> pathlib.Path:
    """What an earlier download left, without asking the Hub.

    Raises:
        ConnectionError: nothing.
    """
    try:
        found = hub.hf_hub_download(
            repository, _CONFIG_FILE, revision=revision, local_files_only=True
        )
    except hub.errors.LocalEntryNotFoundError:
        raise ConnectionError(
            f"{repository!r} is neither a directory nor in the cache, and the Hugging Face Hub "
            f"cannot be reached: {error}"
        ) from error
    return pathlib.Path(found).parent


def _is_connection_error(errors: Any, error: Exception) -> bool:
    """Whether the network failed, rather than the Hub refused.

    The library that huggingface_hub reaches it with has changed; errors of that library are of a
    class that huggingface_hub derives its own from.
    """
    refused = errors.HfHubHTTPError
    return isinstance(error, (OSError, *refused.__bases__)) and not isinstance(error, refused)


def _weight_files(hub: Any, repository: str, commit: str, listed: dict[str, Any]) -> list[str]:
    """The weights' files: the shards of an index, which is fetched, or the one file.

    Raises:
        ValueError: there are none in safetensors.
    """
    if INDEX_FILE in listed:
        path = pathlib.Path(hub.hf_hub_download(repository, INDEX_FILE, revision=commit))
        index = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
        missing = [name for name in names if name not in listed]
        if missing:
            raise FileNotFoundError(
                f"{repository} must hold every file that {INDEX_FILE} names. Missing: {missing}"
            )
        return names
    if WEIGHTS_FILE in listed:
        return [WEIGHTS_FILE]
    refuse_other_formats(sorted(listed), repository)
    raise ValueError(f"`source` must hold {WEIGHTS_FILE}. Received: {repository!r}")


def _verify(path: pathlib.Path, stated: Any) -> None:
    """Compares a file with the size and the SHA-256 that the Hub states.

    Raises:
        OSError: they differ; the file is deleted.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if stated.lfs else None
    expected = stated.lfs.sha256 if stated.lfs else None
    if (size, found) != (stated.size, expected):
        path.resolve().unlink()  # the cache holds a link: the next attempt fetches it again
        path.unlink(missing_ok=True)
        raise OSError(
            f"{path.name} was damaged on its way and is deleted: try again. "
            f"Expected: {stated.size} bytes, sha256 {expected}. "
            f"Received: {size} bytes, sha256 {found}"
        )
