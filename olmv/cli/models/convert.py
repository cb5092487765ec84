"""`olmv models convert`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.views.progress import Progress

if TYPE_CHECKING:
    from olmv.models.convert.convert import Conversion

EPILOG = """\b
Examples:
  olmv models convert swa_2_22.pth -o openvclip-b16
  olmv models convert pytorch_model.bin -o xclip-zero-shot
"""


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Open-VCLIP (swa_2_22.pth, .pyth), X-CLIP of its authors (.pth), or X-CLIP of Hugging Face "
            "(pytorch_model.bin, model.safetensors) with its config.json beside it.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A new folder for the model.", show_default=False),
    ],
    ratio: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="R",
            help="Open-VCLIP: weight of the original.  [default: the published one, 0.5; for L/14 0.6]",
        ),
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Open-VCLIP: what was fine-tuned.  [default: OpenAI's CLIP]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes or summary.")] = False,
) -> None:
    """Make a model folder of somebody else's checkpoint; nothing in the file is run."""
    from rich.console import Console

    from olmv.models.convert.convert import convert as run

    view = Progress("models", Console(stderr=True, highlight=False), quiet=quiet)
    for line in _told(run(file, output, ratio=ratio, original=original)):
        view.say(line)


def _told(done: "Conversion") -> list[str]:
    lines = [f"recognised as {done.kind}; {done.tensors} tensors checked", f"architecture {done.architecture}"]
    if done.ratio is not None:
        rule = "the published one" if done.published_ratio else "as asked"
        lines.append(f"ratio {done.ratio:g} ({rule}), original {done.original or 'not needed'}")
    if done.frames is not None:
        lines.append(f"made for {done.frames} frames")
    folder = shlex.quote(str(done.folder))
    return [*lines, f"wrote {done.folder}", f'next: olmv predict clips/ --labels "dog, guitar" --model {folder}']
