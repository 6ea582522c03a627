"""The processes of the decoding comparison: which scripts they run, and on which models."""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from decode_cells import OURS, SETTINGS, Network
from environments import environment
from sides import Side, script_environment

HERE = pathlib.Path(__file__).resolve().parent
EXPORTS = ("default", "float32", "float32 frozen", "bfloat16", "bfloat16 frozen", "int8", "w8a8")


class Sides:
    """The processes of one network and one strategy.

    Args:
        network: its sizes.
        beams: 1 for greedy.
        rows: token ids of the sources or prompts.
        folder: where models of the network are, or are to be written.
        options: `ours`, names of exports; `leave_out`, names of peers' sides that are not to run;
            `environments`, the folder of the virtual ones.
    """

    def __init__(
        self,
        network: Network,
        beams: int,
        rows: list[list[int]],
        folder: pathlib.Path,
        options: argparse.Namespace,
    ):
        self.options, self.ctranslate2 = options, folder / "ctranslate2"
        self.settings: dict[str, Any] = {
            **dataclasses.asdict(network),
            "special": network.special,
            "beams": beams,
            "checkpoint": str(folder / "huggingface"),
            "exports": {
                name: str(folder / f"{name} {beams}".replace(" ", "_")) for name in options.ours
            },
        }
        self.rows = rows

    def make(self, python: pathlib.Path | str, script: str, **settings: Any) -> None:
        """Runs a script that writes models.

        Raises:
            RuntimeError: it failed; the message has the end of what it wrote.
        """
        print(f"  {script}", flush=True)
        command = [str(python), str(HERE / "peers" / script)]
        command.append(json.dumps({**self.settings, **settings}))
        done = subprocess.run(
            command,
            env=script_environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            raise RuntimeError(f"{script} failed:\n{done.stdout[-4000:]}")

    @contextlib.contextmanager
    def running(self, of: str, about: dict[str, Any]) -> Iterator[dict[str, Side]]:
        """The sides of a library, ready; what they say of themselves is noted in `about`."""
        found = {
            OURS: self._ours,
            "Hugging Face": self._hugging_face,
            "CTranslate2": self._ctranslate2,
            "KerasHub": self._keras_hub,
        }[of]()
        sides: dict[str, Side] = {}
        with contextlib.ExitStack() as stack:
            for setting, python, script, settings in found:
                name, command = f"{of} {setting}", [str(python), str(HERE / "peers" / script)]
                if name in self.options.leave_out:
                    continue
                given = {**self.settings, "rows": self.rows, **settings}
                sides[name] = stack.enter_context(Side(name, command, given))
                about["versions"].update(sides[name].info)
                print(f"  {name} is ready", flush=True)
            yield sides
            for name, side in sides.items():
                held = about["peak_bytes"].get(name, 0)
                about["peak_bytes"][name] = max(held, side.peak_bytes())

    def _ours(self) -> Iterator[tuple]:
        written = {
            name: pathlib.Path(directory) / "1"
            for name, directory in self.settings["exports"].items()
        }
        if not all(version.exists() for version in written.values()):
            self.make(sys.executable, "decode_models.py")
        for name, version in written.items():
            settings = {"saved_model": str(version)}
            yield name, sys.executable, "saved_model_decode.py", settings

    def _hugging_face(self) -> Iterator[tuple]:
        python = environment("torch", self.options.environments)
        for dtype in SETTINGS["Hugging Face"]:
            yield dtype, python, "torch_decode.py", {"dtype": dtype}

    def _ctranslate2(self) -> Iterator[tuple]:
        python = environment("ctranslate2", self.options.environments)
        model = self.ctranslate2
        if not model.exists():
            part = model.with_suffix(".part")
            self.make(python, "ctranslate2_decode_model.py", ctranslate2=str(part))
            part.rename(model)
        for dtype in SETTINGS["CTranslate2"]:
            settings = {"dtype": dtype, "ctranslate2": str(model)}
            yield dtype, python, "ctranslate2_decode.py", settings

    def _keras_hub(self) -> Iterator[tuple]:
        for name in SETTINGS["KerasHub"]:
            dtype, _, xla = name.partition(" ")
            settings = {"dtype": dtype, "jit_compile": xla == "XLA"}
            yield name, sys.executable, "keras_hub_decode.py", settings
