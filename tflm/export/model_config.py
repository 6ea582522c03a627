"""TF Serving's `models.config`: which models a server has.

It is a `ModelServerConfig` (`config/model_server_config.proto`) as text. A file that a user may
have edited is changed by what is put in, and keeps everything else as it stands.
"""

import re

_TOKEN = re.compile(
    r"""\#[^\n]* | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [{}<>] | \w+ | [^\s\w]""", re.VERBOSE
)
_LIST = ("model_config_list",)


def models_of(content: str) -> list[str]:
    """Names of the models that are listed.

    Raises:
        ValueError: the text has no list of models, or its brackets do not match.
    """
    return _read(content)[0]


def with_model(content: str, name: str, base_path: str) -> str:
    """The text with one more model at the end of its list; as it is where the model is listed.

    Args:
        content: of the file; "" for a new one.
        name: under which the model is served.
        base_path: its directory as the server sees it.

    Raises:
        ValueError: the text has no list of models, or its brackets do not match.
    """
    content = content or "model_config_list {\n}\n"
    names, end = _read(content)
    if name in names:
        return content
    before, after = content[:end].rstrip(), content[end:]
    return (
        f"{before}\n"
        "  config {\n"
        f"    name: {_quoted(name)}\n"
        f"    base_path: {_quoted(base_path)}\n"
        '    model_platform: "tensorflow"\n'
        "  }\n"
        f"{after}"
    )


def _read(content: str) -> tuple[list[str], int]:
    """Names of the models, and where the list's closing bracket stands."""
    names, path, field, end = [], [], "", None
    for match in _TOKEN.finditer(content):
        token = match.group()
        if token in "{<":
            path.append(field)
        elif token in "}>":
            if tuple(path) == _LIST:
                end = match.start()
            if not path:
                raise _malformed(f"a closing {token!r} too many")
            field = path.pop()
        elif token[0] in "\"'" and tuple(path) == (*_LIST, "config") and field == "name":
            names.append(re.sub(r"\\(.)", r"\1", token[1:-1]))
        elif token.isidentifier():
            field = token
    if path:
        raise _malformed(f"{' '.join(path)} without its end")
    if end is None:
        raise _malformed("none")
    return names, end


def _malformed(received: str) -> ValueError:
    return ValueError(
        f"`models.config` must hold one model_config_list {{ ... }}. Received: {received}"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
