"""`olmv models export`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.views.progress import Progress

__all__ = ["EPILOG", "export"]

EPILOG = """\b
Examples:
  olmv models export olmv-mini -o mini-onnx
  olmv models export runs/pets/model -o pets-onnx
"""


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name or folder.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A new folder, or the model's own.", show_default=False),
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes or summary.")] = False,
) -> None:
    """Write a model as ONNX graphs (frames to embeddings, texts to embeddings), beside the model itself.

    Both graphs are checked against the model before they are kept. DIR is also a folder that --model takes.
    """
    from rich.console import Console

    from olmv.models.export.onnx import export_onnx
    from olmv.models.registry import folder_of, load_model
    from olmv.models.storage.saving import refuse_unless_empty, save_pretrained, short_name

    view = Progress("models", Console(stderr=True, highlight=False), quiet=quiet)
    own = Path(name.removeprefix("local-dir:")) if name.startswith("local-dir:") else folder_of(name)
    beside = own is not None and own.exists() and output.exists() and output.samefile(own)
    if not beside:
        refuse_unless_empty(output)
    model = load_model(name, device="cpu", dtype="float32")
    graphs = export_onnx(model, output)
    if not beside:
        save_pretrained(model, output, description=f"exported from {short_name(model.name)}")
    for file in graphs.files:
        view.say(f"{(output / file).stat().st_size / 1e6:>9.1f} MB  {file}")
    differences = f"{graphs.video_difference:.1e} (videos), {graphs.text_difference:.1e} (texts)"
    view.say(f"largest difference from torch: {differences}")
    view.say(f"wrote {output}; export.json there tells what goes in and out")
    view.say("next, with pixels float32 [B, T, 3, S, S] from 0 to 255:")
    view.say("  onnxruntime.InferenceSession('video.onnx').run(None, {'pixels': pixels})")
