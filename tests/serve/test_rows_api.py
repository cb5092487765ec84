"""`/v1/rows`: the files that the commands read, made of rows that were answered."""

import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import pytest

from olmv.io.curves import Curve, read_curves
from tests.support.server import RunningServer
from tests.support.timelines import curve_of, segment, timeline_row

ROW = timeline_row("a.mp4", segment("dog", 4, 10), others={"rain": 0.1})
CELLS = curve_of(ROW).to_document()


def test_rows_and_curves_are_files(http: httpx.Client, server: RunningServer, tmp_path: Any) -> None:
    failed = {**ROW, "video": "b.mp4", "labels": [], "segments": []}
    answer = http.post("/v1/rows", json={"rows": [{**ROW, "cells": CELLS}, failed]})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="predictions.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["predictions.jsonl", "predictions.jsonl.curves.parquet"]
        archive.extractall(tmp_path)
    assert [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()] == [ROW, failed]
    [curve] = read_curves(tmp_path / "predictions.jsonl.curves.parquet")
    assert (curve.video, curve.labels) == ("a.mp4", curve_of(ROW).labels)
    np.testing.assert_array_equal(curve.probability, curve_of(ROW).probability)
    assert [file.name for file in server.service.uploads.path.iterdir()] == [".lock"]


def _cells(starts: list[float], *columns: list[float]) -> dict[str, Any]:
    names = tuple(f"label {number}" for number in range(len(columns)))
    return Curve("", names, np.array(starts), np.array(columns, np.float32).T).to_document()


def test_curves_of_many_long_films_are_taken(http: httpx.Client) -> None:
    column = [0.25] * 14_400  # an hour, four a second
    cells = _cells([place / 4 for place in range(14_400)], *[column] * 30)
    labels = [{**ROW["labels"][-1], "label": f"label {number}"} for number in range(30)]
    film = {**ROW, "labels": labels, "segments": [], "cells": cells}
    rows = [{**film, "video": f"{number}.mp4"} for number in range(5)]
    body = json.dumps({"rows": rows}).encode()
    assert len(body) > 8 * 2**20
    answer = http.post("/v1/rows", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert http.get("/v1/labels").json()["max_rows_mb"] == 32


def test_a_row_of_few_labels_keeps_the_cells_of_all(http: httpx.Client) -> None:
    few = {**ROW, "labels": ROW["labels"][-1:], "cells": CELLS}  # as with top_k
    assert http.post("/v1/rows", json={"rows": [few]}).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("3", "the body is no object; send one"),
        ("{", "the body is no JSON; send an object"),
        ('{"rows": [{"duration_s": NaN}]}', "the body has NaN, which is no number of JSON; send a finite number, or"),
        ('{"rows": [{"note": -1e999}]}', "the body has -1e999, which is no number of JSON"),
    ],
)
def test_a_body_that_is_none_is_refused(http: httpx.Client, body: str, message: str) -> None:
    answer = http.post("/v1/rows", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows: List should have at least 1 item"),
        ([{**ROW, "video": 3}], "rows.0 is no prediction: its 'video' is odd; give one with its cells"),
        ([ROW, {**ROW, "cells": [1]}], "rows.1 is no prediction: its 'cells' are odd"),
        ([{**ROW, "cells": {"starts_s": "?", "labels": {}}}], "its 'cells' are odd"),
        ([{**ROW, "cells": _cells([0, 1])}], "no probabilities over time"),
        ([{**ROW, "cells": _cells([1, 0], [0.5, 0.5])}], "no probabilities over time"),
        ([{**ROW, "cells": _cells([0, 1], [0.5, float("nan")])}], "no probabilities over time"),
        ([{**ROW, "cells": _cells([0, 1], [0.5, 1.5])}], "no probabilities over time"),
        ([ROW, ROW], "two rows are of one video; give each a name of its own"),
        ([{**ROW, "segments": None}], "rows.0 is no prediction: its 'segments' is None, not a list; give one"),
        ([{**ROW, "explanations": 3}], "its 'explanations' is 3, not a list"),
        ([{**ROW, "duration_s": -5}], "its 'duration_s' is -5, not a number of 0 or more"),
        ([{**ROW, "labels": ROW["labels"] * 2}], "it has the label 'rain' twice"),
        ([{**ROW, "cells": _cells([0, 1], [0.5, 0.5])}], "its 'cells' are not of its labels"),
        ([{**ROW, "labels": [], "segments": [], "cells": CELLS}], "its 'cells' are not of its labels"),
        ([3], "rows.0: is no object; send an object"),
    ],
)
def test_what_is_no_row_is_refused(http: httpx.Client, rows: list[Any], message: str) -> None:
    answer = http.post("/v1/rows", json={"rows": rows})
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]
