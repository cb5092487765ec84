"""Requests that schemathesis makes of the description; `scripts/benchmarks/fuzz_api.py` makes thousands."""

from pathlib import Path

import pytest

from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.serve.options import ServeOptions
from olmv.serve.reviewing import library_source, review_library
from scripts.benchmarks.fuzz_api import fuzz
from tests.support.libraries import clip_library
from tests.support.server import running_server


@pytest.mark.slow
def test_the_service_does_what_its_description_says(served_model: VideoModel, clips: Path, tmp_path: Path) -> None:
    library = clip_library(tmp_path / "library", served_model, [str(clips / "a.mp4"), str(clips / "b.mp4")])
    library.model(served_model)
    options = ServeOptions(workers=1, root=clips)
    source = library_source(library, served_model, Vocabulary.from_names(["dog", "rain"]))
    with (
        review_library(library, source) as review,
        running_server(served_model, tmp_path / "uploads", options=options, library=library, review=review) as running,
    ):
        made, failed, text = fuzz(running.url, examples=4, seed=1, phases="examples,fuzzing")
    assert failed == 0, text
    assert made > 50
