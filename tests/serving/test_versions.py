import pytest

from tflm.serving.versions import VersionPolicy, find_versions, fingerprint


@pytest.fixture
def model(tmp_path):
    for name in ("1", "9", "10", "tmp-11", "12.writing", ".13", "-4", "１４", "9" * 25):
        (tmp_path / name).mkdir()
    (tmp_path / "15").write_text("a file")
    return tmp_path


def test_versions_are_directories_whose_names_are_numbers(model):
    assert {number: path.name for number, path in find_versions(model).items()} == {
        1: "1",
        9: "9",
        10: "10",
    }


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("latest", [10]),
        ("latest:2", [10, 9]),
        ("latest:7", [10, 9, 1]),
        ("all", [10, 9, 1]),
        ("specific:9", [9]),
        ("specific:1,10,8", [1, 10]),
    ],
)
def test_a_policy_chooses(model, text, chosen):
    assert list(VersionPolicy.parse(text).choose(find_versions(model))) == chosen


@pytest.mark.parametrize(
    "text",
    ["", "newest", "latest:0", "latest:1,2", "latest:x", "all:1", "specific", "specific:a,1"],
)
def test_another_policy_is_refused(text):
    with pytest.raises(ValueError, match="`version_policy` must be latest, latest:N, all or"):
        VersionPolicy.parse(text)


def test_a_fingerprint_changes_with_a_file(model):
    file = model / "9" / "assets" / "词表.txt"
    file.parent.mkdir()
    before = fingerprint(model / "9")
    file.write_text("一")
    written = fingerprint(model / "9")
    assert fingerprint(model / "9") == written != before
    file.write_text("一二")
    assert fingerprint(model / "9") != written


def test_a_file_that_is_gone_meanwhile_is_left_out(model):
    (model / "9" / "dangling").symlink_to(model / "nowhere")
    assert fingerprint(model / "9") == frozenset()
