"""Say which labels are likely of videos, as a user would write it in an afternoon: what `bench_predict` compares with.

    python scripts/benchmarks/naive_predict.py MODEL_FOLDER "dog, guitar, rain" ROWS.jsonl CLIP...

OpenCV seeks to each of 8 frames, PIL and open_clip prepare them, open_clip's model (`local-dir:MODEL_FOLDER`) encodes
them in float32, one video at a time. Nothing of olmv takes part but its guard, without which a CPU-only torch beside
a CUDA build of torchvision cannot import open_clip at all.
"""

import json
import sys

import olmv  # noqa: F401  # the guard; imports no torch

import cv2  # isort: skip
import open_clip  # isort: skip
import torch  # isort: skip
from PIL import Image  # isort: skip


def read_frames(path: str, count: int = 8) -> list[Image.Image]:
    """Seek to each of `count` evenly spread frames, and read it."""
    capture = cv2.VideoCapture(path)
    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for i in range(count):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int((i + 0.5) * length / count))
        good, frame = capture.read()
        if good:
            frames.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    capture.release()
    return frames


@torch.no_grad()
def main() -> None:
    folder, names, rows, *clips = sys.argv[1:]
    labels = [name.strip() for name in names.split(",")]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = model.encode_text(tokenizer([f"a video of {label}" for label in labels]).to(device), normalize=True)
    with open(rows, "w", encoding="utf-8") as file:  # noqa: PTH123  # as a user would
        for clip in clips:
            pixels = torch.stack([preprocess(frame) for frame in read_frames(clip)]).to(device)
            frames = model.encode_image(pixels, normalize=True)
            likely = (100 * frames.mean(0) @ texts.T).softmax(-1)
            file.write(json.dumps({"video": clip, "labels": dict(zip(labels, likely.tolist(), strict=True))}) + "\n")


if __name__ == "__main__":
    main()
