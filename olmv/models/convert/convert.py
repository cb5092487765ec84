"""Other people's checkpoints as model folders of olmv's own: Open-VCLIP, and X-CLIP in both of its published forms.

{"model_state": {"model.visual...": ...}, ...}      Open-VCLIP: swa_2_22.pth, checkpoint_epoch_00022.pyth
{"model": {"mit.positional_embedding": ...}, ...}   X-CLIP of its authors (github.com/microsoft/VideoX)
{"mit.position_embedding": ..., ...}                X-CLIP of Hugging Face; config.json stands beside the file
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, OutputError, UsageError, reason
from olmv.io.atomic import replacing_folder
from olmv.models.base import VideoModel
from olmv.models.convert import openvclip
from olmv.models.storage.checkpoints import check_tensors, named, read_checkpoint, sha256_of
from olmv.models.storage.json import read_object
from olmv.models.storage.saving import refuse_unless_empty, save_pretrained, short_name
from olmv.models.storage.staging import filling_folder
from olmv.models.xclip.keys import config_of_authors, from_authors_state, from_hf_state
from olmv.models.xclip.model import XClipModel, authors_preprocess, hf_preprocess
from olmv.models.xclip.network import XClip, XClipConfig

__all__ = ["Conversion", "convert"]

_KNOWN = "olmv converts Open-VCLIP (swa_2_22.pth) and X-CLIP (of its authors, or of Hugging Face)"
_OPEN_VCLIP = "Open-VCLIP"
_XCLIP_AUTHORS = "X-CLIP of its authors"
_XCLIP_HF = "X-CLIP of Hugging Face"
_SOURCES = {
    _OPEN_VCLIP: "Weng et al., ICML 2023, arXiv 2302.00624; github.com/wengzejia1/Open-VCLIP",
    _XCLIP_AUTHORS: "Ni et al., ECCV 2022, arXiv 2208.02816; github.com/microsoft/VideoX",
    _XCLIP_HF: "Ni et al., ECCV 2022, arXiv 2208.02816; huggingface.co/microsoft",
}


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint.

    Attributes:
        kind: what it was recognised as.
        architecture: such as `ViT-B-16-quickgelu`.
        tensors: how many were checked.
        ratio: weight of the original; None where there is none.
        published_ratio: whether that is the published one, because nobody asked for another.
        original: its name; None where it was not needed.
        frames: the number that the model is made for; None where any number will do.
        sha256: of the file.
        folder: where the model was written.
    """

    kind: str
    architecture: str
    tensors: int
    ratio: float | None
    published_ratio: bool
    original: str | None
    frames: int | None
    sha256: str
    folder: Path


def convert(
    file: str | Path, folder: str | Path, *, ratio: float | None = None, original: str | None = None
) -> Conversion:
    """Recognise a checkpoint by what is in it, check every tensor, and save the model for `load_model`.

    Args:
        file: the checkpoint. Nothing in it is run.
        folder: made if need be; refused unless empty.
        ratio: weight of the ORIGINAL, 0 to 1, for Open-VCLIP; default: the published one.
        original: the CLIP that was fine-tuned, for Open-VCLIP; default: OpenAI's of the same architecture.

    Raises:
        UsageError: a ratio or an original where there can be none, or none where it is needed.
        InputError: no such file.
        ModelError: not a checkpoint that olmv knows, or one that is not whole; also the original.
        OutputError: the folder is not empty, or cannot be written.
    """
    file, folder = Path(file), Path(folder)
    if ratio is not None and not 0 <= ratio <= 1:
        raise UsageError(f"ratio is {ratio:g}; it is the weight of the original, from 0 to 1")
    refuse_unless_empty(folder)
    kind, state = _recognise(read_checkpoint(file), file)
    if kind != _OPEN_VCLIP and (ratio is not None or original is not None):
        raise UsageError(
            f"{file} is an {kind}, which is not patched with an original; leave out the ratio and the original",
            option=("ratio", "original"),
        )
    if kind == _OPEN_VCLIP:
        model, conversion = _open_vclip(state, file, folder, ratio, original)
    else:
        model, conversion = _xclip(kind, state, file, folder)
    _save(model, folder, card=_card(conversion, file.name), description=_description(conversion))
    return conversion


def _save(model: VideoModel, folder: Path, *, card: str, description: str) -> None:
    """Save the whole model or nothing."""
    work = folder
    try:
        # an empty folder that is there, perhaps a mounted disk or where the user stands, stays and is filled
        if folder.is_dir():
            staging = filling_folder(folder, last="config.json")
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            staging = replacing_folder(folder)
        with staging as work:
            save_pretrained(model, work, card=card, description=description)
    except OutputError as error:
        raise OutputError(str(error).replace(str(work), str(folder))) from None
    except OSError as error:
        raise OutputError(
            f"cannot write '{folder}' ({reason(error)}); choose another folder", option="output"
        ) from None


def _recognise(content: Mapping[str, Any], file: Path) -> tuple[str, dict[Any, Any]]:
    """Tell what it is, and return the weights; everything else, such as the optimizer's state, is let go."""
    tuned, model = content.get("model_state"), content.get("model")
    if isinstance(tuned, Mapping):
        if f"{openvclip.PREFIX}visual.conv1.weight" in tuned:
            return _OPEN_VCLIP, dict(tuned)
        if "visual.conv1.weight" in tuned:
            raise ModelError(
                f"{file} looks like a training checkpoint of a CLIP, but its names do not begin with "
                f"'{openvclip.PREFIX}' as Open-VCLIP's do (they begin {_keys(tuned)}); {_KNOWN}"
            )
    if isinstance(model, Mapping):
        plain = {str(name).removeprefix("module."): value for name, value in model.items()}
        if "mit.positional_embedding" in plain:
            if len(plain) != len(model):
                raise ModelError(f"{file} has weights twice, with and without 'module.'; give the authors' own file")
            return _XCLIP_AUTHORS, plain
    if "mit.position_embedding" in content:
        return _XCLIP_HF, dict(content)
    if any("visual.conv1.weight" in str(name) for name in content):
        raise ModelError(
            f"{file} looks like the weights of a CLIP on pictures (its names begin {_keys(content)}), which need no "
            f"converting: put open_clip_config.json beside them and use local-dir:FOLDER; {_KNOWN}"
        )
    inner = next((value for value in (tuned, model) if isinstance(value, Mapping)), content)
    raise ModelError(f"{file} is no checkpoint that olmv knows (its names begin {_keys(inner)}); {_KNOWN}")


def _keys(content: Mapping[Any, Any]) -> str:
    return named([str(name) for name in content]) or "nowhere: it is empty"


def _open_vclip(
    state: dict[Any, Any], file: Path, folder: Path, ratio: float | None, original: str | None
) -> tuple[VideoModel, Conversion]:
    state_by_name = openvclip.strip_prefix(state)
    config = openvclip.config_of(state_by_name)
    tuned = openvclip.check_state(state_by_name, config)
    architecture = openvclip.architecture_of(config)
    title = architecture or "ViT of {width}x{layers}, patch {patch_size}".format(**config["vision_cfg"])
    share = openvclip.RATIOS.get(title) if ratio is None else ratio
    if share is None:
        raise UsageError(f"no ratio is published for this architecture ({title}); say one, 0 to 1", option="ratio")
    if share == 0 and original is not None:
        raise UsageError(
            "ratio 0 takes nothing of the original; leave it out, or give another ratio", option=("original", "ratio")
        )
    if share and original is None and architecture is not None:
        original = f"{architecture}/openai"
    weights = openvclip.patch(tuned, config, share, original)
    conversion = Conversion(
        _OPEN_VCLIP, title, len(tuned), share, ratio is None, original, None, sha256_of(file), folder
    )  # fmt: skip
    return openvclip.build(weights, config, name=str(folder)), conversion


def _xclip(kind: str, state: dict[Any, Any], file: Path, folder: Path) -> tuple[VideoModel, Conversion]:
    check_tensors(state, str(file))
    if kind == _XCLIP_AUTHORS:
        config = config_of_authors(state)
        ours = from_authors_state(state, config)
        preprocess = authors_preprocess(config.image_size)
    else:
        config = XClipConfig.from_hf(_hf_config(file))
        ours = from_hf_state(state, config)
        preprocess = hf_preprocess(file.with_name("preprocessor_config.json"), config.image_size)
    xclip = XClip(config)
    xclip.load_state_dict(ours)
    title = (
        f"ViT of {config.vision_width}x{config.vision_layers}, patch {config.patch_size}, {config.image_size} pixels"
    )
    conversion = Conversion(
        kind, title, len(state), None, False, None, config.frames, sha256_of(file), folder
    )  # fmt: skip
    model = XClipModel(xclip, name=str(folder), preprocess=preprocess).eval().requires_grad_(False)
    return model, conversion


def _hf_config(file: Path) -> dict[str, Any]:
    path = file.with_name("config.json")
    if not path.is_file():
        raise ModelError(f"{file} has no config.json beside it, which says its sizes; get that file of the model too")
    return read_object(path)


def _description(conversion: Conversion) -> str:
    patched = f", ratio {conversion.ratio:g}" if conversion.ratio is not None else ""
    frames = f", {conversion.frames} frames" if conversion.frames is not None else ""
    return f"{conversion.kind}, {conversion.architecture}{patched}{frames}; converted by olmv"


def _card(conversion: Conversion, file_name: str) -> str:
    """Write the model card; names that somebody else chose stay on their line and within their quotes."""
    views = "openvclip" if conversion.kind == _OPEN_VCLIP else "xclip"
    lines = [
        f"# {conversion.kind}, converted by olmv",
        "",
        f"- Checkpoint: {_quoted(file_name)}, SHA-256 `{conversion.sha256}`",
        f"- Recognised as: {conversion.kind}, {conversion.architecture}; {conversion.tensors} tensors checked",
    ]
    if conversion.ratio is not None:
        published = " (the published one)" if conversion.published_ratio else ""
        lines += [
            f"- Weights: ratio * original + (1 - ratio) * checkpoint, ratio {conversion.ratio:g}{published}",
            f"- Original: {_quoted(short_name(conversion.original)) if conversion.original else 'none needed'}",
        ]
    if conversion.frames is not None:
        lines.append(f"- Made for {conversion.frames} frames of a video")
    return "\n".join(
        [
            *lines,
            f"- Source: {_SOURCES[conversion.kind]}",
            "- Licence: the weights are under that of their authors, not olmv's; see the source.",
            "",
            "## Use",
            "",
            "```",
            'olmv predict clips/ --labels "dog, guitar, rain" --model DIR',
            f"olmv evaluate ucf101-ep2 --data ROOT --model DIR --views {views}",
            "```",
            "",
            "Converting measures nothing: the figures are those of the paper, until olmv evaluate has been run.",
            "",
        ]
    )


def _quoted(name: str) -> str:
    return "`" + ascii(name)[1:-1].replace("`", "'") + "`"
