from tflm.data.cleaning.duplicates import Duplicates, digest_of


def kept(rows):
    apply = Duplicates().begin(2)
    return [row for row in rows if apply(row) is not None]


def test_the_first_of_equal_rows_stays():
    rows = [("tea", "茶"), ("Tea", "茶"), ("tea", "茶"), ("tea", "红茶"), ("Tea", "茶")]
    assert kept(rows) == [("tea", "茶"), ("Tea", "茶"), ("tea", "红茶")]


def test_every_pass_begins_anew():
    rows = [("a", "b"), ("a", "b")]
    assert kept(rows) == kept(rows) == [("a", "b")]


def test_where_a_text_ends_counts():
    assert len({digest_of(row) for row in (("ab", "c"), ("a", "bc"), ("abc", ""), ("abc",))}) == 4
    assert len(digest_of(("😀\ud83d",))) == 16
