"""Draw the Moji world's objects once, from the Noto Color Emoji font, into the atlas that ships with olmv.

    python scripts/research/make_moji_atlas.py    # writes olmv/moji/moji_atlas.webp and olmv/moji/moji_objects.json

Needs Debian's `fonts-noto-color-emoji` (OFL-1.1) and `unicode-data` (emoji-test.txt: groups and short names).
The world reads the atlas, never the font, so that a seed gives the same pixels on every machine.
"""

import json
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_TEST = "/usr/share/unicode/emoji/emoji-test.txt"
FOLDER = Path(__file__).resolve().parents[2] / "olmv" / "moji"
CELL = 64
COLUMNS = 32
UNSEEN = 60
SEED = 20260901

# Groups whose drawings are things that a name tells. Left out: signs, letters, arrows, clocks, flags, keycaps,
# gestures and most faces, of which many differ by a pixel or by a word that nobody would type.
SUBGROUPS = {
    "face-hat", "face-glasses", "face-costume", "monkey-face", "body-parts",
    "person", "person-role", "person-fantasy", "person-activity", "person-sport", "person-resting",
    "animal-mammal", "animal-bird", "animal-amphibian", "animal-reptile", "animal-marine", "animal-bug",
    "plant-flower", "plant-other",
    "food-fruit", "food-vegetable", "food-prepared", "food-asian", "food-marine", "food-sweet", "drink", "dishware",
    "place-map", "place-geographic", "place-building", "place-religious", "place-other",
    "transport-ground", "transport-water", "transport-air", "hotel", "sky & weather",
    "event", "award-medal", "sport", "game", "arts & crafts",
    "clothing", "sound", "music", "musical-instrument", "phone", "computer", "light & video", "book-paper", "money",
    "mail", "writing", "office", "lock", "tool", "science", "medical", "household", "other-object",
}  # fmt: skip
# Doubles of a drawing or of a name that stays, and weather that the world draws itself.
LEFT_OUT = {
    "cat face", "dog face", "mouse face", "cow face", "pig face", "rabbit face", "tiger face", "horse face",
    "monkey face", "dragon face", "person: blond hair", "person: beard", "older person", "adult", "person",
    "oncoming automobile", "oncoming bus", "oncoming taxi", "oncoming police car", "bullet train", "metro", "tram car",
    "sun behind small cloud", "sun behind large cloud", "sun behind cloud", "sun behind rain cloud",
    "cloud with rain", "cloud with snow", "cloud with lightning and rain", "umbrella with rain drops",
    "new moon", "waxing crescent moon", "first quarter moon", "waxing gibbous moon", "waning gibbous moon",
    "last quarter moon", "waning crescent moon", "new moon face", "last quarter moon face", "full moon face",
    "spade suit", "heart suit", "diamond suit", "club suit", "snowman without snow", "person in suit levitating",
    "pregnant woman", "pregnant man", "pregnant person", "breast-feeding", "middle finger", "train",
    "globe showing Europe-Africa", "globe showing Asia-Australia", "hatching chick", "front-facing baby chick",
    "two-hump camel", "Christmas tree", "night with stars", "sunrise over mountains", "cityscape at dusk",
    "musical notes", "musical score", "speaker low volume", "speaker medium volume", "muted speaker",
    "mobile phone with arrow", "envelope with arrow", "incoming envelope", "e-mail", "open mailbox with lowered flag",
    "closed mailbox with lowered flag", "open mailbox with raised flag", "closed book", "orange book", "blue book",
    "dollar banknote", "euro banknote", "pound banknote", "tear-off calendar", "chart decreasing",
    "magnifying glass tilted right", "unlocked", "locked with key", "locked with pen", "bell with slash",
    "2nd place medal", "3rd place medal", "military medal", "flower playing cards", "nine o’clock",
    "delivery truck", "fish cake with swirl", "moon viewing ceremony", "Japanese dolls", "pine decoration",
    "mobile phone off", "no one under eighteen", "bookmark tabs", "scroll", "open file folder", "card index dividers",
    "spiral calendar", "round pushpin", "bullet", "person taking bath", "snow-capped mountain", "suspension railway",
    "closed umbrella", "dashing away", "placard", "moai", "identification card", "hole", "railway track", "motorway",
    "eye", "bone", "foot", "leg", "mechanical leg", "mechanical arm", "ear with hearing aid", "fog", "wind face",
}  # fmt: skip


def candidates() -> list[tuple[str, str, str]]:
    """(character, short name, subgroup) of every single-character emoji in the chosen groups."""
    rows, subgroup = [], ""
    for line in Path(EMOJI_TEST).read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup:"):
            subgroup = line[11:].strip()
        elif "; fully-qualified" in line and subgroup in SUBGROUPS:
            code_points = [int(x, 16) for x in line.split(";")[0].split()]
            base = [c for c in code_points if c != 0xFE0F]
            name = line.split("#")[1].strip().split(" ", 2)[2]
            if len(base) == 1 and name not in LEFT_OUT:
                rows.append((chr(base[0]), name.lower(), subgroup))
    return rows


def draw(character: str, font: ImageFont.FreeTypeFont) -> Image.Image | None:
    """RGBA [CELL, CELL], cropped to the ink and centred; None when the font has no drawing for it."""
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), character, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        return None
    ink = canvas.crop(box)
    side = max(ink.size)
    square = Image.new("RGBA", (side, side))
    square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    # premultiplied before resampling, so that transparent black does not darken the edges
    array = np.asarray(square, dtype=np.float32) / 255
    array[..., :3] *= array[..., 3:]
    planes = [
        np.asarray(Image.fromarray(array[..., c]).resize((CELL - 2, CELL - 2), Image.Resampling.LANCZOS))
        for c in range(4)
    ]
    out = np.zeros((CELL, CELL, 4), dtype=np.float32)
    out[1:-1, 1:-1] = np.clip(np.stack(planes, axis=-1), 0, 1)
    alpha = np.maximum(out[..., 3:], 1e-6)
    out[..., :3] = np.clip(out[..., :3] / alpha, 0, 1) * (out[..., 3:] > 1 / 255)
    return Image.fromarray((out * 255).round().astype(np.uint8), "RGBA")


def main() -> None:
    font = ImageFont.truetype(FONT, 109)
    kept: list[tuple[str, str, str, Image.Image]] = []
    vectors: list[np.ndarray] = []
    for character, name, subgroup in candidates():
        picture = draw(character, font)
        if picture is None:
            continue
        small = Image.alpha_composite(Image.new("RGBA", picture.size, "grey"), picture).convert("RGB").resize((16, 16))
        vector = np.asarray(small, dtype=np.float32).ravel() - 128
        vector /= np.linalg.norm(vector) + 1e-6
        if vectors and (twin := int(np.argmax(np.stack(vectors) @ vector))) is not None:
            likeness = float(vectors[twin] @ vector)
            if likeness > 0.97:
                print(f"left out {name!r}: drawn like {kept[twin][1]!r} ({likeness:.3f})")
                continue
        kept.append((character, name, subgroup, picture))
        vectors.append(vector)
    order = list(range(len(kept)))
    random.Random(SEED).shuffle(order)
    unseen = set(order[:UNSEEN])
    rows = -(-len(kept) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for i, (_, _, _, picture) in enumerate(kept):
        atlas.paste(picture, (i % COLUMNS * CELL, i // COLUMNS * CELL))
    atlas.save(FOLDER / "moji_atlas.webp", lossless=True, quality=100, method=6)
    objects = [
        {"name": name, "character": character, "group": group, "split": "unseen" if i in unseen else "seen"}
        for i, (character, name, group, _) in enumerate(kept)
    ]
    text = ",\n".join("  " + json.dumps(o, ensure_ascii=False) for o in objects)
    (FOLDER / "moji_objects.json").write_text(
        f'{{"cell": {CELL}, "columns": {COLUMNS}, "font": "Noto Color Emoji (OFL-1.1)", "objects": [\n{text}\n]}}\n',
        encoding="utf-8",
    )
    print(f"{len(kept)} objects, {len(kept) - UNSEEN} seen, {UNSEEN} unseen; atlas {atlas.size}")


if __name__ == "__main__":
    main()
