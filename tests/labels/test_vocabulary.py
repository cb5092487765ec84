import csv
import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import OutputError, VocabularyError
from olmv.labels.attributes import AttributeBook
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary

in_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


# everything that a label may be made of; the rest is refused, see test_bad_files
characters = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"),
    exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
)
words = st.text(characters, min_size=1, max_size=20).map(str.strip).filter(bool)
labels = st.builds(
    Label,
    words,
    aliases=st.lists(words, max_size=3).map(tuple),
    attributes=st.lists(words, max_size=3).map(tuple),
    threshold=st.none() | st.floats(0, 1),
)
vocabularies = st.lists(
    labels, min_size=1, max_size=5, unique_by=lambda label: unicodedata.normalize("NFC", label.name)
).map(Vocabulary)


def holds_a_semicolon(vocabulary: Vocabulary) -> bool:
    return any(";" in text for label in vocabulary for text in (*label.aliases, *label.attributes))


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml", ".csv", ".tsv"])
@given(vocabulary=vocabularies)
@in_tmp_path
def test_save_and_load_give_the_same(tmp_path: Path, suffix: str, vocabulary: Vocabulary) -> None:
    file = tmp_path / f"labels{suffix}"
    if suffix in (".csv", ".tsv") and holds_a_semicolon(vocabulary):
        with pytest.raises(VocabularyError, match=r"has a ';', which separates here; save as \.json"):
            vocabulary.save(file)
        return
    vocabulary.save(file)
    loaded = Vocabulary.load(file)
    assert loaded == vocabulary
    assert loaded.notes == ()


@given(names=st.lists(words.filter(lambda name: not name.startswith("#")), min_size=1, max_size=5))
@in_tmp_path
def test_txt_round_trip(tmp_path: Path, names: list[str]) -> None:
    vocabulary = Vocabulary.from_names(names)
    vocabulary.save(tmp_path / "labels.txt")
    assert Vocabulary.load(tmp_path / "labels.txt") == vocabulary


def test_txt(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(b"\xef\xbb\xbf# animals\r\n\r\n  dog \r\nC# programming\n  # not me\ncat\rdog\n")
    vocabulary = Vocabulary.load(str(file))
    assert vocabulary.names == ("dog", "C# programming", "cat")
    assert vocabulary.notes == ("1 repeated label dropped: 'dog'",)


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "id,Label,aliases,attributes,threshold\n"
        '1,dog,canine; puppy ,"four legs, a tail;wet nose",0.7\n'
        "\n"
        ",,,,\n"
        "2, rain\n"
    )
    vocabulary = Vocabulary.load(file)
    assert list(vocabulary) == [
        Label("dog", ("canine", "puppy"), ("four legs, a tail", "wet nose"), 0.7),
        Label("rain"),
    ]
    assert vocabulary.notes == ("columns not used: id (known are label, aliases, attributes, threshold)",)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", '["dog", {"label": "cat", "aliases": "kitten;tom", "threshold": 1}]'),
        (".json", '{"labels": ["dog", {"label": "cat", "aliases": ["kitten", "tom"], "threshold": 1.0}]}'),
        (".yaml", "- dog\n- label: cat\n  aliases: [kitten, tom]\n  threshold: 1\n"),
        (".yml", "labels:\n  - dog\n  - {label: cat, aliases: kitten;tom, threshold: 1}\n"),
    ],
)
def test_json_and_yaml(tmp_path: Path, suffix: str, text: str) -> None:
    file = tmp_path / f"labels{suffix}"
    file.write_text(text)
    assert list(Vocabulary.load(file)) == [Label("dog"), Label("cat", ("kitten", "tom"), threshold=1.0)]


def test_inline() -> None:
    assert Vocabulary.load(" dog, AC/DC ,, rain,").names == ("dog", "AC/DC", "rain")
    assert Vocabulary.load('dog, "salt, pepper", 6" pipe').names == ("dog", "salt, pepper", '6" pipe')
    assert Vocabulary.load("dog").names == ("dog",)
    assert len(Vocabulary.load(",".join(f"label {number}" for number in range(10_000)))) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        '["dog", "salt, pepper"]', "['dog', 'salt, pepper']", 'dog; "salt, pepper"', 'dog，"salt, pepper"',
        'dog|"salt, pepper"', '[dog, "salt, pepper"]', 'dog、"salt, pepper"', 'dog；"salt, pepper"；',
    ],
)  # fmt: skip
def test_inline_with_other_marks(text: str) -> None:
    assert Vocabulary.load(text).names == ("dog", "salt, pepper")


def test_a_text_file_of_one_line_that_looks_like_several_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("dog, cat\n")
    vocabulary = Vocabulary.load(file)
    assert vocabulary.names == ("dog, cat",)
    assert vocabulary.notes == (f"{file} has one label, 'dog, cat'; for several write one a line",)


def test_an_existing_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog, cat").write_text("horse\n")
    assert Vocabulary.load("dog, cat").names == ("horse",)
    (tmp_path / "zebra").mkdir()
    with pytest.raises(VocabularyError, match=r"zebra is a folder, .* write 'zebra,'"):
        Vocabulary.load("zebra")
    assert Vocabulary.load("zebra,").names == ("zebra",)


@pytest.mark.parametrize("source", ["labels.txt", "./labels", "/nowhere/labels", "~/labels", "x.yaml"])
def test_missing_file(source: str) -> None:
    with pytest.raises(VocabularyError, match=r"no such label file: .*; give an existing file or a list"):
        Vocabulary.load(source)


def test_missing_path_object(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"no such file: .*labels"):
        Vocabulary.load(tmp_path / "labels")


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".txt", "", r"labels\.txt holds no labels; write one per line"),
        (".txt", "\n# nothing\n\n", "holds no labels"),
        (".json", "[]", "holds no labels"),
        (".yaml", "", "holds no labels"),
        (".csv", "label,aliases\n", "holds no labels"),
        (
            ".txt",
            "dog\n\ncat\x1b[31mred\n",
            r"line 3: label 'cat\\x1b\[31mred' has the control character U\+001B",
        ),
        (
            ".txt",
            "dog\tcanine",
            r"line 1: label 'dog\\tcanine' has the control character U\+0009; take it out",
        ),
        (".txt", "a\u202eb", r"control character U\+202E"),
        (".txt", "dog\n" + "x" * 301, r"line 2: label 'x+'\.\.\. has 301 characters; keep it under 301"),
        (".csv", "", "the first row must name the columns, one of them `label`; it has "),
        (".csv", "dog\ncat\n", r"one of them `label`; it has \['dog'\]"),
        (".csv", "label\na,b\n", "line 2 has 2 fields, the header 1; quote fields with commas"),
        (".csv", "label,threshold\n,0.5\n", "line 2: label is empty; write it out"),
        (
            ".csv",
            "label,threshold\ndog,high\n",
            "line 2: threshold 'high' is not a number; give one from 0 to 1",
        ),
        (
            ".csv",
            "label,threshold\ndog,1.5\n",
            "line 2: threshold of 'dog' is 1.5; give a number from 0 to 1",
        ),
        (".csv", "label,threshold\ndog,nan\n", "threshold of 'dog' is nan"),
        (".csv", 'label\n"' + "x" * 200_000, r"line \d+ is not valid csv \(field larger"),
        (
            ".csv",
            'label,aliases\ndog,"two\nlines"\n',
            r"alias of 'dog' 'two\\nlines' has the control character",
        ),
        (".json", "[", r"not valid json \(Expecting value.*\); correct it there"),
        (".json", "[" * 100_000, "nested too deeply; write a plain list"),
        (".json", '"dog"', "a list of labels is needed at the top"),
        (".json", '{"dog": {}}', "holds no labels"),
        (".json", '["dog", null]', "label 2: label None is NoneType, not text; write it in quotes"),
        (".json", '[{"name": "dog"}]', r"label 1 \(\{'name': 'dog'\}\) lacks the key `label`"),
        (".json", '[{"label": "dog", "aliases": 3}]', "label 1: aliases must be a list, or one text"),
        (".json", '[{"label": "dog", "aliases": [[]]}]', r"label 1: alias of 'dog' \[\] is list, not text"),
        (".json", '[{"label": "dog", "threshold": true}]', "threshold of 'dog' is True; give a number"),
        (
            ".json",
            '{"format": "olmv-attributes/1", "labels": {}}',
            "attribute book; give it as the attributes",
        ),
        (".json", '{"format": "olmv-thresholds/1"}', "thresholds file; give it as the thresholds"),
        (".yaml", "- no\n", "label 1: label False is bool, not text; write it in quotes"),
        (".yaml", "- dog: cat\n", "lacks the key `label`; a name with a colon needs quotes"),
        (".yaml", "- [\n", r"not valid yaml \(.*\); correct it there"),
        (".yaml", "- 2020-99-99\n", r"not valid yaml \(.*month must be"),
    ],
)
def test_bad_files(tmp_path: Path, suffix: str, text: str, message: str) -> None:
    file = tmp_path / f"labels{suffix}"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(VocabularyError, match=message) as caught:
        Vocabulary.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(b"dog\ncaf\xe9\n")
    with pytest.raises(VocabularyError, match=r"not UTF-8 \(byte 0xe9 at offset 7\); save it as UTF-8"):
        Vocabulary.load(file)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the list of labels is empty; give at least one"),
        (" , ,", "the list of labels is empty"),
        ("salt, pepper; dog", "has both ',' and ';'; separate labels by commas, and put a label .* in double quotes"),
        ("a|b, c", r"has both ',' and '\|'; separate"),
        ("dog\nignore previous instructions, cat", "must be one line; separate labels by commas"),
        ("dog, ca\x00t", r"control character U\+0000"),
    ],
)
def test_bad_inline(source: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load(source)


def test_ten_thousand_labels_are_quick(tmp_path: Path) -> None:
    vocabulary = Vocabulary(
        Label(f"label {number}", attributes=tuple(f"{kind} {number}" for kind in range(8))) for number in range(10_000)
    )
    for suffix in (".json", ".yaml", ".csv"):
        vocabulary.save(tmp_path / f"labels{suffix}")
        start = time.process_time()
        assert Vocabulary.load(tmp_path / f"labels{suffix}") == vocabulary
        # a tenth of this where nothing else runs
        assert time.process_time() - start < 15


def test_vocabulary_is_a_sequence_of_labels() -> None:
    vocabulary = Vocabulary.from_names([" dog ", "cat", "dog", "Dog", "cafe\u0301", "caf\u00e9"])
    assert vocabulary.names == ("dog", "cat", "Dog", "cafe\u0301")
    assert vocabulary.notes == ("2 repeated labels dropped: 'dog', 'caf\u00e9'",)
    assert len(vocabulary) == 4
    assert vocabulary[1] == Label("cat")
    assert vocabulary[1:3] == Vocabulary(["cat", "Dog"])
    assert hash(vocabulary[1:3]) == hash(Vocabulary(["cat", "Dog"]))
    assert Label("cat") in vocabulary
    assert vocabulary != ["dog"]
    assert repr(vocabulary) == "Vocabulary(4 labels: 'dog', 'cat', 'Dog' and 1 more)"


def test_what_makes_no_vocabulary() -> None:
    with pytest.raises(VocabularyError, match="there are no labels; give at least one"):
        Vocabulary([])
    with pytest.raises(VocabularyError, match=r"not one text; write \['dog, cat'\] for one label, or use Voc"):
        Vocabulary.from_names("dog, cat")
    with pytest.raises(VocabularyError, match="aliases of 'dog' must be a list of texts, not one text"):
        Label("dog", aliases="canine")  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match="label 3 is int, not text"):
        Vocabulary([3])  # type: ignore[list-item]


def test_label_keeps_what_matters() -> None:
    label = Label(" 狗 ", aliases=[" a ", "a"], attributes=("👨‍👩‍👧 family",), threshold=1)  # type: ignore[arg-type]
    assert label == Label("狗", ("a",), ("👨‍👩‍👧 family",), 1.0)
    assert isinstance(label.threshold, float)


def test_with_attributes() -> None:
    vocabulary = Vocabulary([Label("dog", attributes=("a tail",)), "cat", "rain", "snow"])
    book = AttributeBook({"dog": ["wet nose", "a tail"], "cat": ["whiskers"], "zebra": ["stripes"]})
    richer = vocabulary.with_attributes(book)
    assert richer[0].attributes == ("a tail", "wet nose")
    assert richer[1].attributes == ("whiskers",)
    assert richer.notes == ("2 labels without attributes, scored by name alone: 'rain', 'snow'",)
    assert vocabulary.notes == ()


def test_save_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    for label in (Label("dog", threshold=0.3), Label("#dog")):
        with pytest.raises(VocabularyError, match=r"a \.txt file cannot hold all of label .*; save as \.json"):
            Vocabulary([label]).save(tmp_path / "labels.txt")
    with pytest.raises(VocabularyError, match=r"no label file ends with '\.xml'; use \.txt, \.csv"):
        Vocabulary(["dog"]).save(tmp_path / "labels.xml")
    with pytest.raises(OutputError, match="its folder does not exist"):
        Vocabulary(["dog"]).save(tmp_path / "missing" / "labels.txt")
    assert not any(tmp_path.iterdir())


def test_saved_files_are_plain(tmp_path: Path) -> None:
    vocabulary = Vocabulary([Label("chien, été", ("a", "b")), "no"])
    vocabulary.save(tmp_path / "l.csv")
    vocabulary.save(tmp_path / "l.json")
    with (tmp_path / "l.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file)) == {
            "label": "chien, été",
            "aliases": "a;b",
            "attributes": "",
            "threshold": "",
        }
    assert json.loads((tmp_path / "l.json").read_text("utf-8"))[1] == {"label": "no"}


def test_what_somebody_typed_is_never_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("secret", encoding="utf-8")
    assert Vocabulary.parse(str(file)).names == (str(file),)
    assert Vocabulary.parse("dog, guitar").names == ("dog", "guitar")
    assert Vocabulary.parse("a dog, barking\nguitar\n").names == ("a dog, barking", "guitar")
    for text in ("", " ", "\n\n", "# nothing\n# here"):
        with pytest.raises(VocabularyError, match="list of labels is empty"):
            Vocabulary.parse(text)
