"""A virtual environment for each library that ours is compared with, made when it is first needed.

    python benchmarks/environments.py torch ctranslate2 --environments .venv-peers

None of them shares a process or an environment with TensorFlow, whose threads and libraries would
change what is measured. An environment that is there is used as it is: remove its folder to make
it anew, or put a link to one of your own there. PyTorch's package of PyPI brings a gigabyte of
CUDA; the smaller one for processors comes with
`PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu`.
"""

import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEFAULT = ROOT / ".venv-peers"

# CTranslate2 reads a Hugging Face model through PyTorch.
REQUIREMENTS = {
    "torch": ("torch==2.13.0", "transformers==5.*"),
    "ctranslate2": ("ctranslate2==4.8.*", "torch==2.13.0", "transformers==5.*"),
}


def environment(name: str, root: pathlib.Path = DEFAULT) -> pathlib.Path:
    """The interpreter of the environment called `name`, which is made if it is not there.

    Args:
        name: one of `REQUIREMENTS`.
        root: the folder that holds the environments.

    Raises:
        ValueError: nothing is known to install for `name`.
        subprocess.CalledProcessError: pip could not install it; what it wrote is on the terminal.
    """
    if name not in REQUIREMENTS:
        raise ValueError(f"`name` must be one of {sorted(REQUIREMENTS)}. Received: {name!r}")
    folder = root.absolute() / name
    interpreter = folder / "bin" / "python"
    whole = folder / ".whole"  # written last: half an environment is made anew
    if interpreter.exists() and (whole.exists() or folder.is_symlink()):
        return interpreter
    print(f"making {folder}: {', '.join(REQUIREMENTS[name])}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run(
        [str(interpreter), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]], check=True
    )
    whole.touch()
    return interpreter


def main() -> None:
    """Makes the environments that are named and prints their interpreters."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(REQUIREMENTS))
    parser.add_argument("--environments", type=pathlib.Path, default=DEFAULT, metavar="FOLDER")
    options = parser.parse_args()
    for name in options.names:
        print(environment(name, options.environments))


if __name__ == "__main__":
    main()
