"""Drawing scenes of the Moji world in torch batches.

pictures = Renderer(size=64)([scene, ...], [progress, ...])        # [F, 3, S, S] uint8
clip = render_clip(scene, frames=16, size=256)                      # [T, 3, S, S] uint8
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from olmv.moji.world import BACKGROUNDS, FOLDER, WEATHERS, Scene, atlas_cells, pose

__all__ = ["Renderer", "render_clip"]

MARGIN = 1.0  # the drawing fills its cell


def _load_atlas() -> torch.Tensor:
    """Load the atlas: [N, 4, cell, cell] float32, colours premultiplied by alpha, all in 0..1."""
    meta = json.loads((FOLDER / "moji_objects.json").read_text(encoding="utf-8"))
    cell, columns = meta["cell"], meta["columns"]
    sheet = torch.from_numpy(np.asarray(Image.open(FOLDER / "moji_atlas.webp").convert("RGBA")).copy())
    rows = sheet.shape[0] // cell
    tiles = sheet.view(rows, cell, columns, cell, 4).permute(0, 2, 4, 1, 3).reshape(-1, 4, cell, cell)
    tiles = tiles[: len(meta["objects"])].float() / 255
    tiles[:, :3] *= tiles[:, 3:]
    return tiles


class Renderer:
    """Draws frames `[F, 3, size, size]` uint8. Holds the atlas in memory (about 50 MB)."""

    def __init__(self, size: int = 64) -> None:
        self.size = size
        atlas = _load_atlas()
        # two sizes of every drawing, so that small ones do not flicker
        self.levels = (atlas, F.avg_pool2d(atlas, 2))
        self.cells = atlas_cells()
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) / size
        self.yy, self.xx = torch.meshgrid(axis, axis, indexing="ij")

    def __call__(self, scenes: Sequence[Scene], progress: Sequence[float]) -> torch.Tensor:
        """Draw [F, 3, S, S] uint8: frame i shows `scenes[i]` at `progress[i]` (0 start of the clip, 1 its end)."""
        picture = self._backgrounds(scenes)
        drawn, cell, theta, small = [], [], [], []
        for f, (scene, p) in enumerate(zip(scenes, progress, strict=True)):
            for actor, shown in zip(scene.actors, scene.visible(p), strict=True):
                if not shown:
                    continue
                x, y, size, angle = pose(actor, p)
                scale, turn = 1 / (size * MARGIN), 2 * np.pi * angle
                c, s = float(np.cos(turn)) * scale, float(np.sin(turn)) * scale
                cx, cy = 2 * x - 1, 2 * y - 1
                drawn.append(f)
                cell.append(self.cells[actor.name])
                theta.append([[c, s, -c * cx - s * cy], [-s, c, s * cx - c * cy]])
                small.append(size * self.size < self.levels[1].shape[-1] * 1.1)
        if drawn:
            sprites = torch.empty(len(drawn), 4, self.size, self.size)
            grid = F.affine_grid(torch.tensor(theta, dtype=torch.float32), list(sprites.shape), align_corners=False)
            is_small = torch.tensor(small)
            for level, which in ((self.levels[0], ~is_small), (self.levels[1], is_small)):
                if which.any():
                    source = level[torch.tensor(cell)[which]]
                    sprites[which] = F.grid_sample(source, grid[which], align_corners=False)
            # one layer after another: the k-th object of every frame at once
            order = np.array(drawn)
            layer = np.array([int((order[:i] == f).sum()) for i, f in enumerate(drawn)])
            for k in range(int(layer.max()) + 1):
                which_k = torch.from_numpy(np.flatnonzero(layer == k))
                target = torch.from_numpy(order[layer == k])
                top = sprites[which_k]
                picture[target] = picture[target] * (1 - top[:, 3:]) + top[:, :3]
        self._weather(picture, scenes, progress)
        return (picture.clamp_(0, 1) * 255).round_().to(torch.uint8)

    def _backgrounds(self, scenes: Sequence[Scene]) -> torch.Tensor:
        first = torch.tensor([s.colours[0] for s in scenes])[:, :, None, None]
        second = torch.tensor([s.colours[1] for s in scenes])[:, :, None, None]
        angle = torch.tensor([s.angle for s in scenes])[:, None, None]
        frequency = torch.tensor([s.frequency for s in scenes])[:, None, None]
        kind = np.array([BACKGROUNDS.index(s.background) for s in scenes])
        u = self.xx * angle.cos() + self.yy * angle.sin()
        v = self.yy * angle.cos() - self.xx * angle.sin()
        mix = torch.zeros(len(scenes), self.size, self.size)
        for k, name in enumerate(BACKGROUNDS):
            which = torch.from_numpy(np.flatnonzero(kind == k))
            if len(which) == 0 or name == "plain":
                continue
            if name == "gradient":
                w = u[which]
                low, high = w.amin((1, 2), keepdim=True), w.amax((1, 2), keepdim=True)
                mix[which] = (w - low) / (high - low)
            elif name == "striped":
                mix[which] = (torch.sin(2 * np.pi * frequency[which] * u[which]) > 0).float()
            elif name == "checkered":
                a = torch.sin(np.pi * frequency[which] * u[which] * 1.5)
                b = torch.sin(np.pi * frequency[which] * v[which] * 1.5)
                mix[which] = (a * b > 0).float()
            else:
                cells = [
                    np.random.default_rng([scenes[i].seed, scenes[i].index, 1]).random((1, 21, 21), np.float32)
                    for i in which
                ]
                noise = torch.from_numpy(np.stack(cells))
                mix[which] = F.interpolate(noise, size=(self.size, self.size), mode="bilinear", align_corners=False)[
                    :, 0
                ]
        return first * (1 - mix[:, None]) + second * mix[:, None]

    def _weather(self, picture: torch.Tensor, scenes: Sequence[Scene], progress: Sequence[float]) -> None:
        """Draw streaks of rain or flakes of snow over the frames, in place."""
        for name in WEATHERS[1:]:
            ix = [i for i, s in enumerate(scenes) if s.weather == name]
            if not ix:
                continue
            drops = np.stack([np.random.default_rng([scenes[i].seed, scenes[i].index, 2]).random((28, 2)) for i in ix])
            p = np.array([progress[i] for i in ix])[:, None]
            fall, drift = (2.5, 0.3) if name == "rain" else (0.9, 0.15 * np.sin(6 * p + 6 * drops[..., 1]))
            x = torch.from_numpy((drops[..., 0] - drift * p) % 1.0).float()
            y = torch.from_numpy((drops[..., 1] * 1.0 + fall * p) % 1.0).float()
            cover = torch.zeros(len(ix), self.size, self.size)
            for k in range(drops.shape[1]):
                dx, dy = self.xx - x[:, k, None, None], self.yy - y[:, k, None, None]
                if name == "rain":
                    along = dy.clamp(-0.05, 0.05)
                    distance = (dx + 0.25 * along).square() + (dy - along).square()
                    radius = 0.008
                else:
                    distance, radius = dx.square() + dy.square(), 0.018
                cover = torch.maximum(cover, torch.sigmoid((radius - (distance + 1e-9).sqrt()) * self.size * 1.5))
            colour = torch.tensor((0.70, 0.80, 0.95) if name == "rain" else (1.0, 1.0, 1.0))[:, None, None]
            alpha = (0.85 * cover)[:, None]
            at = torch.tensor(ix)
            picture[at] = picture[at] * (1 - alpha) + colour * alpha


def render_clip(scene: Scene, *, frames: int = 16, size: int = 64, renderer: Renderer | None = None) -> torch.Tensor:
    """Draw all frames of a clip, [T, 3, S, S] uint8; frame t stands at progress (t + 0.5) / T."""
    renderer = renderer or Renderer(size)
    return renderer([scene] * frames, [(t + 0.5) / frames for t in range(frames)])
