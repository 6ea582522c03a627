"""Public weights and test sets, downloaded; without a network these tests are skipped.

Run by hand: `pytest -m network tests/network`. Downloads take 2.5 GB, the tests hours on two cores.
"""

import urllib.request

import pytest


@pytest.fixture(scope="session", autouse=True)
def network():
    """Skips what follows where the Hugging Face Hub cannot be reached."""
    try:
        with urllib.request.urlopen("https://huggingface.co", timeout=10):
            return
    except OSError as error:
        pytest.skip(f"no network: huggingface.co cannot be reached ({error})")


@pytest.fixture(scope="session")
def safe_revision():
    """A function: the revision of a repository that has safetensors, a pull request's perhaps."""
    hub = pytest.importorskip("huggingface_hub", reason="needs pip install 'tflm[hub]'")

    def find(repository):
        api = hub.HfApi()
        if api.file_exists(repository, "model.safetensors"):
            return None
        requests = api.list_repo_refs(repository, include_pull_requests=True).pull_requests
        for request in requests or ():
            if api.file_exists(repository, "model.safetensors", revision=request.ref):
                return request.ref
        pytest.fail(f"no revision of {repository} has model.safetensors")

    return find


@pytest.fixture(scope="session")
def download():
    """A function: the bytes at an address."""

    def read(address):
        with urllib.request.urlopen(address, timeout=60) as response:
            return response.read()

    return read
