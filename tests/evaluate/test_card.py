"""The model card with figures."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import InputError, ModelError, UsageError
from olmv.evaluate.card import card_with_results, markdown, without_paths, write_card
from olmv.evaluate.results import Result, write_result
from olmv.models.fingerprint import digest_weights
from olmv.models.storage.saving import save_pretrained
from tests.evaluate.made_results import EVIL, made_result
from tests.support.tiny import tiny_model

MODEL = "hf:somebody/pets"
OWN = "# Pets\n\nTrained by hand.\n\n## Figures\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


def measured(**fields: Any) -> Result:
    given: dict[str, Any] = {
        "metrics": {"macro_map": 0.8125, "micro_ap": 0.5, "macro_f1": float("nan"), "macro_map_std": 0.1},
        "intervals": {"macro_map": (0.79, 0.83)},
        "notes": ("every second frame",),
        "versions": {"olmv": "0.1.0", "torch": "2.13.0"},
        "settings": {"frames": 8, "pooling": "mean", "attributes": None},
    }
    return made_result(**(given | fields))


def metadata(card: str) -> dict[str, Any]:
    data: Any = ModelCard(card).data
    return dict(data.to_dict())


def test_figures_settings_counts_and_notes_are_in_the_card() -> None:
    card = card_with_results(OWN, [measured()], model=MODEL)
    assert "| mAP (macro) | macro\\_map | 81.2 % | 79.0 – 83.0 |" in card
    assert "| F1 (macro) | macro\\_f1 | – |  |" in card
    assert "macro\\_map\\_std" not in card
    assert (
        "multi-label, 2026-11-21 18:40 UTC: 40 videos, of which 1 could not be read and are left out; 6 labels." in card
    )
    for line in ("- every second frame", "| frames | 8 |", "| attributes | – |", "| torch version | 2.13.0 |"):
        assert f"\n{line}\n" in card
    assert "olmv predict clip.mp4 --model hf:somebody/pets" in card
    assert 'Classifier.from_pretrained("hf:somebody/pets")' in card


def test_the_metadata_is_the_hubs() -> None:
    card = ModelCard(card_with_results(OWN, [measured()], model=MODEL))
    data = metadata(card.content)
    assert data["tags"] == ["video-classification", "zero-shot-video-classification", "open-vocabulary", "olmv"]
    assert data["pipeline_tag"] == "video-classification"
    assert data["library_name"] == "olmv"
    assert "license" not in data
    [index] = data["model-index"]
    [run] = index["results"]
    assert index["name"] == "pets"
    assert run["task"] == {"type": "video-classification"}
    assert (run["dataset"]["type"], run["dataset"]["name"]) == ("some-benchmark", "some-benchmark")
    assert [(m["type"], m["name"], m["value"]) for m in run["metrics"]] == [
        ("macro_map", "mAP (macro)", 0.8125),
        ("micro_ap", "AUPR (micro)", 0.5),
    ]


def test_what_others_wrote_stays() -> None:
    front = "---\nlicense: mit\ntags: [cats]\npipeline_tag: zero-shot-image-classification\nextra: {a: 1}\n---\n"
    card = card_with_results(front + OWN, [measured()], model=MODEL)
    data = yaml.safe_load(card.split("---")[1])
    assert (data["license"], data["extra"]) == ("mit", {"a": 1})
    assert data["pipeline_tag"] == "zero-shot-image-classification"
    assert data["tags"][:2] == ["cats", "video-classification"]
    assert OWN in card
    assert card.index("Trained by hand.") < card.index("## How to use") < card.index("## Evaluation")


def test_figures_of_others_stay_in_the_model_index() -> None:
    front = """---
tags: cats
model-index:
- name: theirs
  results:
  - task: {type: video-classification}
    dataset: {type: ucf101, name: UCF101, args: 5}
    metrics: [{type: accuracy, value: 0.5}]
---
"""
    card = metadata(card_with_results(front, [measured()], model=MODEL))
    again = metadata(card_with_results(front, [measured(), measured(protocol="p2")], model=MODEL))
    assert [run["dataset"]["type"] for run in card["model-index"][0]["results"]] == ["ucf101", "some-benchmark"]
    assert [run["dataset"]["type"] for run in again["model-index"][0]["results"]] == ["ucf101", "some-benchmark", "p2"]
    assert card["tags"][0] == "cats"
    assert card["model-index"][0]["name"] == "theirs"


def test_doing_it_again_changes_nothing_and_another_evaluation_replaces() -> None:
    once = card_with_results(OWN, [measured()], model=MODEL)
    assert card_with_results(once, [measured()], model=MODEL) == once
    assert card_with_results(once, [], model=MODEL) == once
    other = card_with_results(once + "\n## Afterword\n", [measured(protocol="second")], model=MODEL)
    assert "some-benchmark" not in other
    assert other.count("## Evaluation") == other.count("## How to use") == 1
    assert other.index("second") < other.index("## Afterword")
    assert OWN in other


def test_without_results_there_is_how_to_use_only() -> None:
    card = card_with_results("", [], model=MODEL)
    assert "## How to use" in card
    assert "Evaluation" not in card
    assert "model-index" not in card


def test_two_runs_of_one_protocol_stay_apart() -> None:
    runs = [measured(), measured(created="2026-11-22T00:00:00+00:00")]
    card = card_with_results(OWN, runs, model=MODEL)
    assert len(metadata(card)["model-index"][0]["results"]) == 2
    assert card.count("### some-benchmark") == 2


def test_splits_groups_and_labels_without_figures() -> None:
    result = measured(
        splits=({"name": "1", "metrics": {"macro_map": 0.8}}, {"name": "2", "metrics": {"macro_map": 0.9}}),
        groups={"seen|x": {"macro_map": 0.7}, "unseen": {"macro_map": 0.4, "micro_ap": 0.3}},
        never=tuple(f"n{k}" for k in range(12)),
        always=("rain",),
    )
    card = card_with_results(OWN, [result], model=MODEL)
    assert "| figure | name | value | 95 % interval | standard deviation (sample's) over 2 splits |" in card
    assert "| 81.2 % | 79.0 – 83.0 | ± 7.1 |" in card
    assert "| seen\\|x | 70.0 % | – |" in card
    assert "- 12 labels are true of no video: n0, n1, n2, n3, n4, n5, n6, n7, …" in card
    assert "- 1 labels are true of every video and not in mAP: rain" in card


def test_other_kinds() -> None:
    single = measured(kind="single-label", metrics={"top1": 0.5, "top5": 1.0})
    found = measured(kind="retrieval", metrics={"t2v_r1": 0.25, "t2v_median_rank": 3.0}, protocol="msrvtt")
    card = card_with_results(OWN, [single, found], model=MODEL)
    runs = metadata(card)["model-index"][0]["results"]
    assert runs[0]["metrics"][0] == {"type": "accuracy", "name": "Top-1", "value": 0.5}
    assert runs[1]["task"]["type"] == "text-to-video-retrieval"
    assert "40 sentences." in card
    assert "| Text → video median rank | t2v\\_median\\_rank | 3 |" in card


def test_olmv_mini_is_honest_and_long_notes_are_cut() -> None:
    card = card_with_results(OWN, [measured(model="olmv-mini", notes=("n",) * 40)], model=MODEL)
    assert "- olmv-mini knows drawings, not footage" in card
    assert "- and 11 more notes" in card


NASTY = f"a|b\n# c `x` **y** [l](http://evil) www.evil.org me@evil.org --- {EVIL}"


def test_text_of_others_is_plain_text() -> None:
    result = measured(
        protocol=NASTY,
        model=NASTY,
        created=NASTY,
        notes=(NASTY, "- x", "1. x"),
        settings={NASTY: NASTY, "lists": [NASTY] * 200},
        metrics={NASTY: 0.5, "macro_map": 0.5},
        groups={NASTY: {NASTY: 0.5}},
        never=(NASTY,),
    )
    card = card_with_results(OWN, [result], model=MODEL)
    assert card_with_results(card, [result], model=MODEL) == card
    body = card[card.index("## Evaluation") :]
    assert not re.search(r"(?<!\\)<(?!!-- olmv|/?details>|/?summary>)", body)
    assert not re.search(r"(?<!\\)[`*\[]", body.replace("`olmv evaluate`", ""))
    assert "://" not in body
    assert not re.search(r"(?m)^#+ (?!Evaluation|#|a\\\|b)", body)
    rows = [line for line in body.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 4, 5}
    assert max(map(len, rows)) < 2000
    assert "- \\- x\n- 1\\. x\n" in body
    assert metadata(card)["model-index"][0]["results"][0]["dataset"]["name"].startswith("a|b # c")


def test_no_path_of_this_machine_is_in_it(tmp_path: Path) -> None:
    result = measured(
        model=f"{tmp_path}/run/model",
        protocol=f"{tmp_path}/list.csv",
        settings={"lists": f"{tmp_path}/x y.txt", "more": ["/etc/passwd", "C:\\Users\\me\\v.csv"]},
        notes=(f"the videos are in {tmp_path}/train.jsonl; train on them", "see file:///home/me/a.txt, ~/b/c.txt"),
    )
    card = card_with_results(OWN, [result], model="./pets")
    assert str(tmp_path) not in card
    assert str(tmp_path.parent.name) not in card
    for word in ("/home", "/etc", "Users", "~/"):
        assert word not in card
    for word in ("| model | model |", "x y.txt", "passwd; v.csv", "are in train.jsonl; train", "see a.txt, c.txt"):
        assert word in card


@given(st.text(max_size=40))
def test_markdown_is_one_line_of_plain_words(text: str) -> None:
    made = markdown(text)
    assert made.isprintable()
    assert "://" not in made
    assert not re.search(r"(?<!\\)(\\\\)*[|<>`*_\[\]]", re.sub(r"\\.", "", made))


def test_what_is_no_path_stays() -> None:
    for text in ("and/or", "a 1/2 b", "https://a.org/b/c", "mean / max", "12 x 8 frames", "Text → video R@1", "a - b"):
        assert without_paths(text) == text
    assert without_paths("/a b/c d/; ~/e/") == "c d; e"


@pytest.mark.parametrize("front", ["a: [", "- a", "model-index: [{}]", "tags: !!python/object:os.system x"])
def test_metadata_that_cannot_be_read(front: str) -> None:
    with pytest.raises(
        ModelError, match=r"the metadata of README\.md cannot be read \(.*\); correct or delete it"
    ) as c:
        card_with_results(f"---\n{front}\n---\n# x\n", [], model=MODEL)
    assert "\n" not in str(c.value)


def weights_of(seed: int, dtype: str = "bfloat16") -> dict[str, str]:
    model = tiny_model(seed=seed)
    state = (model.bfloat16() if dtype == "bfloat16" else model).state_dict()
    return {"weights": digest_weights(state.items())[:12], "dtype": dtype}


def test_the_card_of_a_folder(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path / "m", card=OWN)
    write_result(tmp_path / "mine", measured(settings=weights_of(0)))
    write_result(tmp_path / "quantised", measured(settings=weights_of(0, "int8")))
    write_result(tmp_path / "rows", measured(protocol="predictions", settings={}))
    write_result(tmp_path / "other", measured(settings=weights_of(1)))
    write_result(tmp_path / "other int8", measured(settings=weights_of(1, "int8")))
    evaluations = [tmp_path / "mine", tmp_path / "quantised", tmp_path / "rows"]
    path = write_card(tmp_path / "m", evaluations, model=MODEL)
    text = path.read_text()
    assert path == tmp_path / "m" / "README.md"
    assert "### some-benchmark" in text
    assert "### predictions" in text
    for name in ("other", "other int8"):
        with pytest.raises(
            UsageError,
            match=rf"{name} is an evaluation of other weights than those in '.*/m'; evaluate this model first",
        ):
            write_card(tmp_path / "m", [tmp_path / name], model=MODEL)
    with pytest.raises(InputError, match=r"has no result\.json"):
        write_card(tmp_path / "m", [tmp_path], model=MODEL)
    assert path.read_text() == text
    path.unlink()
    write_card(tmp_path / "m", [], model="./a model; ls")
    assert path.read_text().startswith("---\n")
    assert "--model './a model; ls' --labels" in path.read_text()


def test_the_command_in_the_card_is_one_that_a_shell_reads() -> None:
    card = card_with_results("", [], model="./it's\n`x`")
    [line] = [line for line in card.splitlines() if line.startswith("olmv predict")]
    read = subprocess.run(
        ["bash", "-c", line.replace("olmv", "printf '%s\\n'", 1)], capture_output=True, text=True, check=True
    )
    assert "./it's`x`" in read.stdout.splitlines()


def test_failed_videos_are_not_told_where_there_are_none() -> None:
    card = card_with_results(OWN, [replace(measured(), counts={})], model=MODEL)
    assert "UTC: 40 videos; 6 labels." in card


@pytest.mark.parametrize("tags", ["[1, {a: b}]", "[[x]]", "[2024]"])
def test_tags_that_are_no_words(tags: str) -> None:
    with pytest.raises(ModelError, match=r"the tags in the metadata of README\.md are not a list of words; correct or"):
        card_with_results(f"---\ntags: {tags}\n---\n# A\n", [], model=MODEL)


def test_the_card_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "secret.txt").write_text("mine")
    path = tmp_path / "m" / "README.md"
    path.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ModelError, match=r"README\.md' is a link to a file outside of the model; put the file itself"):
        write_card(tmp_path / "m", (), model=MODEL)
    assert path.is_symlink()
    assert (tmp_path / "secret.txt").read_text() == "mine"
    snapshot, blob = tmp_path / "snapshots" / "0f", tmp_path / "blobs" / "1"
    for made in (snapshot, blob.parent):
        made.mkdir(parents=True)
    blob.write_text(OWN)
    (snapshot / "README.md").symlink_to("../../blobs/1")
    write_card(snapshot, (), model=MODEL)
    assert not (snapshot / "README.md").is_symlink()
    assert OWN in (snapshot / "README.md").read_text()
    assert blob.read_text() == OWN
    assert [made.name for made in snapshot.iterdir()] == ["README.md"]
