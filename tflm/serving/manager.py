"""Which versions are loaded: new ones are found, old ones go once nobody needs them."""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tflm.serving.model_config import ModelConfig
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError, invalid
from tflm.serving.versions import find_versions, fingerprint

_log = logging.getLogger("tflm.serving")


@dataclasses.dataclass
class VersionStatus:
    """What is known of a version.

    Args:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END, as TF Serving says it.
        code: OK, or why it could not be loaded.
        message: that in words.
    """

    version: int
    state: str = "START"
    code: Code = Code.OK
    message: str = ""
    servable: Servable | None = dataclasses.field(default=None, repr=False)
    files: frozenset[Any] = dataclasses.field(default=frozenset(), repr=False)


class Manager:
    """Loads and unloads versions as the disk and the configuration say.

    A new version is loaded and warmed up before the old one goes, and the old one stays where the
    new one cannot be loaded. That is tried again when a file of it changes: TF Serving tries five
    times, a minute apart, and says nothing in between.

    Args:
        models: gives the models to serve, at each look at the disk.
        observe: is told each version that has been loaded.
        unload_seconds: that requests under way have when their version goes; no limit by default.
    """

    def __init__(
        self,
        models: Callable[[], Sequence[ModelConfig]],
        observe: Callable[[Servable], None] = lambda servable: None,
        unload_seconds: float | None = None,
    ):
        self._models = models
        self._observe = observe
        self._unload_seconds = unload_seconds
        self._versions: dict[str, dict[int, VersionStatus]] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._lock = threading.Lock()  # of the two above
        self._polling = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def poll(self) -> None:
        """Looks at the disk once, and loads and unloads until it is as wanted."""
        with self._polling:
            self._apply(self._models())

    def start(self, seconds: float) -> None:
        """Looks at the disk from now on, every so many seconds."""
        self._thread = threading.Thread(
            target=self._poll_for_ever, args=(seconds,), name="poll", daemon=True
        )
        self._thread.start()

    def configure(self, models: Sequence[ModelConfig]) -> None:
        """Serves other models from now on.

        Raises:
            RequestError: one does not become available, or a label's version does not.
        """
        with self._polling:
            self._models = lambda: models
            self._apply(models)
        missing = [model.name for model in models if not self._available(model.name)]
        if missing:
            names = "".join(f"{{name: {name}}}, " for name in missing)
            raise RequestError(Code.UNKNOWN, f"Some models did not become available: {{{names}}}")
        self.check_labels(models)

    def check_labels(self, models: Sequence[ModelConfig]) -> None:
        """Whether the labels are of versions that answer.

        Raises:
            RequestError: one is not.
        """
        for model in models:
            for version in model.labels.values():
                if version not in self._available(model.name):
                    raise RequestError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference",
                    )

    def close(self) -> None:
        """Unloads everything, once the requests under way are answered or their time is up."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        with self._polling:
            self._apply([])

    def knows(self, name: str) -> bool:
        """Whether there is, or was, a model of that name."""
        with self._lock:
            return name in self._versions

    def statuses(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> list[VersionStatus]:
        """What is known of a model's versions, the newest first.

        Raises:
            RequestError: there is no such model or version.
        """
        with self._lock:
            if label is not None:
                version = self._labelled(name, label)
            known = self._versions.get(name, {})
            if version is None and not known:
                raise RequestError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
            if version is not None and version not in known:
                raise RequestError(
                    Code.NOT_FOUND, f"Could not find version {version} of model {name}"
                )
            numbers = sorted(known, reverse=True) if version is None else [version]
            return [dataclasses.replace(known[number], servable=None) for number in numbers]

    @contextlib.contextmanager
    def lease(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """A version that stays loaded meanwhile: the newest, unless a version or label is asked.

        Raises:
            RequestError: there is none.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        with self._lock:
            if label is not None:
                version = self._labelled(name, label)
            available = {
                number: status.servable
                for number, status in self._versions.get(name, {}).items()
                if status.state == "AVAILABLE" and status.servable is not None
            }
            wanted = max(available, default=None) if version is None else version
            servable = None if wanted is None else available.get(wanted)
            if servable is None:
                request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {request}")
            servable.hold()
        try:
            yield servable
        finally:
            servable.release()

    def _labelled(self, name: str, label: str) -> int:
        labels = self._labels.get(name, {})
        if label not in labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return labels[label]

    def _available(self, name: str) -> set[int]:
        with self._lock:
            versions = self._versions.get(name, {}).values()
            return {status.version for status in versions if status.state == "AVAILABLE"}

    def _poll_for_ever(self, seconds: float) -> None:
        while not self._stopped.wait(seconds):
            try:
                self.poll()
            except Exception:  # the next look may succeed: a directory comes and goes
                _log.exception("The models could not be looked at.")

    def _apply(self, models: Sequence[ModelConfig]) -> None:
        with self._lock:
            self._labels = {model.name: model.labels for model in models}
            gone = self._versions.keys() - {model.name for model in models}
        for name in sorted(gone):
            self._unload(name, self._available(name))
        for model in models:
            try:
                wanted = model.policy.choose(find_versions(model.base_path))
            except OSError as error:  # what is served stays: a file system may be away for a while
                _log.warning("Model %s: %s", model.name, error)
                continue
            for version, path in sorted(wanted.items()):
                self._load(model.name, version, path)
            available = self._available(model.name)
            if not wanted or available & wanted.keys():
                self._unload(model.name, available - wanted.keys())

    def _load(self, name: str, version: int, path: pathlib.Path) -> None:
        """Loads a version, unless it is loaded, or failed and has not changed since."""
        with self._lock:
            known = self._versions.setdefault(name, {}).setdefault(version, VersionStatus(version))
        if known.state == "AVAILABLE":
            return
        files = fingerprint(path)
        if known.code != Code.OK and known.files == files:
            return
        self._change(known, state="LOADING", code=Code.OK, message="", files=files)
        try:
            servable = Servable(name, version, path)
        except RequestError as error:
            self._change(known, state="END", code=error.code, message=error.message)
            _log.error("Model %s version %d cannot be served: %s", name, version, error)
            return
        except Exception as error:  # a file can be broken in any way, and the others are served
            message = f"{type(error).__name__}: {error}"
            self._change(known, state="END", code=Code.INTERNAL, message=message)
            _log.exception("Model %s version %d cannot be served.", name, version)
            return
        self._change(known, state="AVAILABLE", servable=servable)
        self._observe(servable)
        _log.info(
            "Model %s version %d is available, warmed up by %d requests.",
            name,
            version,
            servable.warmup_records,
        )

    def _unload(self, name: str, versions: set[int]) -> None:
        for version in sorted(versions):
            with self._lock:
                known = self._versions[name][version]
                servable, known.servable, known.state = known.servable, None, "UNLOADING"
            if servable is not None:
                servable.close(self._unload_seconds)
            self._change(known, state="END")
            _log.info("Model %s version %d is unloaded.", name, version)

    def _change(self, status: VersionStatus, **changes: Any) -> None:
        with self._lock:
            for name, value in changes.items():
                setattr(status, name, value)
