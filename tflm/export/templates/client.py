"""Asks a model behind TF Serving over REST; needs the package `requests` alone.

python client.py demo text="How are you today?"
python client.py demo --signature n_best text="你好"
"""

import argparse
import json

import requests


def ask(model, rows, signature="serving_default", url="http://localhost:8501", timeout=60):
    """The model's answers: for each row, inputs by name, a row of outputs by name."""
    body = {"signature_name": signature, "instances": rows}
    reply = requests.post(f"{url}/v1/models/{model}:predict", json=body, timeout=timeout)
    found = json.loads(reply.content)
    if "error" in found:
        raise SystemExit(f"{model}: {found['error']}")
    return found["predictions"]


def main():
    """Asks for one row, given on the command line."""
    parser = argparse.ArgumentParser(description="Asks a model behind TF Serving.")
    parser.add_argument("model")
    parser.add_argument("row", nargs="+", metavar="NAME=TEXT", help="an input of the signature")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--url", default="http://localhost:8501")
    arguments = parser.parse_args()
    row = dict(each.split("=", 1) for each in arguments.row)
    answers = ask(arguments.model, [row], arguments.signature, arguments.url)
    print(json.dumps(answers[0], ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
