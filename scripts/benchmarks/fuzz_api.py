"""Ask the HTTP service of `olmv serve` what its description allows and what it does not, thousands of times.

    python -m scripts.benchmarks.fuzz_api [--cases 10000] [--json docs/results/fuzz_api.json]

schemathesis makes the requests from /openapi.json, in the order of its phases, and checks every answer: no 5xx but a
busy 503, only statuses, kinds of content and documents that are described. The server has the clips that ship, as a
library and as paths, and the small random model of the tests: it is the service that is asked, not the model.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import olmv
from olmv.labels.vocabulary import Vocabulary
from olmv.serve.options import ServeOptions
from olmv.serve.reviewing import library_source, review_library
from scripts.benchmarks.results import Figure, show, write
from tests.support.libraries import clip_library
from tests.support.server import running_server
from tests.support.tiny import tiny_model

FOOTAGE = Path(olmv.__file__).parent / "data" / "footage"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_EXPECTED = ("503", "507")  # busy, and a full disk
OPERATIONS = 25  # about; each has as many cases


def fuzz(
    url: str, *, examples: int, seed: int, phases: str = "examples,coverage,fuzzing,stateful"
) -> tuple[int, int, str]:
    """Run schemathesis; return how many cases it made, how many kinds of failures, and all that it wrote."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{url}/openapi.json", "--max-examples", str(examples), "--checks", CHECKS, "--phases", phases),
        *("--seed", str(seed), "--request-timeout", "120", "--continue-on-failure"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    text = done.stdout + done.stderr
    if (made := re.search(r"(\d+) generated", text)) is None:
        raise SystemExit(f"schemathesis made no cases:\n{text[-3000:]}")
    failed = re.search(r"(\d+) found (\d+) unique failure", text)
    return int(made[1]), 0 if failed is None else int(failed[2]), text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="at least about so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model()
        clips = sorted(map(str, FOOTAGE.glob("*.mp4")))
        library = clip_library(Path(folder) / "library", model, clips)
        library.model(model)
        options = ServeOptions(workers=2, root=FOOTAGE)
        words = Vocabulary.from_names(["dog", "guitar", "rain"])
        with (
            review_library(library, library_source(library, model, words)) as review,
            running_server(model, Path(folder) / "uploads", options=options, library=library, review=review) as running,
        ):
            made = failed = 0
            seed = arguments.seed
            while made < arguments.cases:
                cases, failures, text = fuzz(
                    running.url, examples=max((arguments.cases - made) // OPERATIONS, 10), seed=seed
                )
                made, failed, seed = made + cases, failed + failures, seed + 1
                if failures:
                    print(text)
            counts = re.findall(
                r'olmv_requests_total\{.*status="(\d+)"\} (\d+)', running.service.figures.text().decode()
            )
            faults = sum(int(count) for status, count in counts if status.startswith("5") and status not in _EXPECTED)
            answers = sum(int(count) for _, count in counts)
    figures = {"cases": made, "answers": answers, "failures": failed, "faults": faults}
    rows = [Figure(name, value, None, None, made) for name, value in figures.items()]
    show(rows, "schemathesis against the service")
    if arguments.json is not None:
        write(arguments.json, rows, {"checks": CHECKS}, seed=arguments.seed)
    raise SystemExit(1 if failed or faults else 0)


if __name__ == "__main__":
    main()
