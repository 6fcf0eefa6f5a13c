"""Drawn adult figures, unclothed and clothed, for training heads on without a single photograph of anybody.

The bodies are MakeHuman's base mesh with its adult shapes (CC0), posed by its own rig; everything else (light,
backgrounds, cloth, hair, materials, strokes) is made here. Each scene is drawn twice with the same pose, light and
background: bare, and dressed. What differs between the two is what a head is to learn.

`assets` is a folder with base.obj, default.mhskel, default_weights.mhw and the adult *.target files of a checkout of
makehumancommunity/makehuman, all in one place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BODY = 13_380
"""Vertices of the body; helpers for cloth and hair follow."""
SIDE = 256
PARTS = {"body": "body", "tights": "helper-tights", "skirt": "helper-skirt", "hair": "helper-hair"}
SKINS = ((236, 196, 172), (224, 178, 150), (205, 152, 120), (176, 122, 92), (128, 84, 60), (92, 60, 44))
STYLES = ("plain", "oil", "drawing", "statue", "engraving")


class Assets:
    """The mesh, its adult shapes and its rig."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._targets: dict[str, Floats] = {}
        vertices, faces, group = [], {name: [] for name in PARTS}, ""
        for line in (folder / "base.obj").read_text(encoding="ascii").splitlines():
            if line.startswith("v "):
                vertices.append([float(part) for part in line.split()[1:4]])
            elif line.startswith("g "):
                group = line.split()[1]
            elif line.startswith("f "):
                for name, wanted in PARTS.items():
                    if group == wanted:
                        corners = [int(part.split("/")[0]) - 1 for part in line.split()[1:]]
                        faces[name] += [[corners[0], *corners[at : at + 2]] for at in range(1, len(corners) - 1)]
        self.rest = np.array(vertices, dtype=np.float32)
        self.faces = {name: np.array(found) for name, found in faces.items()}
        rig = json.loads((folder / "default.mhskel").read_text(encoding="utf-8"))
        self.bones, self.joints = rig["bones"], rig["joints"]
        weights = json.loads((folder / "default_weights.mhw").read_text(encoding="utf-8"))["weights"]
        self.names = list(self.bones)
        self.weights = np.zeros((len(self.rest), len(self.names)), dtype=np.float32)
        for at, name in enumerate(self.names):
            for vertex, share in weights.get(name, ()):
                self.weights[int(vertex), at] = share
        total = self.weights.sum(axis=1, keepdims=True)
        self.weights /= np.where(total > 0, total, 1)

    def target(self, name: str) -> Floats:
        """Offsets of one shape, (vertices, 3)."""
        if name in self._targets:
            return self._targets[name]
        found = self._targets[name] = np.zeros_like(self.rest)
        for line in (self.folder / f"{name}.target").read_text(encoding="ascii").splitlines():
            if line and not line.startswith("#"):
                vertex, *offset = line.split()
                found[int(vertex)] = [float(part) for part in offset]
        return found

    @cached_property
    def order(self) -> list[int]:
        """Bones, parents before children."""
        done: list[int] = []
        while len(done) < len(self.names):
            for at, name in enumerate(self.names):
                parent = self.bones[name]["parent"]
                if at not in done and (parent is None or self.names.index(parent) in done):
                    done.append(at)
        return done

    def shaped(self, rng: np.random.Generator) -> Floats:
        """An adult body of random sex, stock, age and build."""
        sex, age = rng.choice(["female", "male"], p=[0.65, 0.35]), rng.choice(["young", "old"], p=[0.8, 0.2])
        stock = rng.choice(["caucasian", "asian", "african"], p=[0.6, 0.2, 0.2])
        shape = self.rest + self.target(f"{stock}-{sex}-{age}")
        muscle, weight = rng.choice(["average", "max"]), rng.choice(["average", "max", "min"], p=[0.5, 0.35, 0.15])
        shape = shape + self.target(f"universal-{sex}-{age}-{muscle}muscle-{weight}weight") * rng.uniform(0.4, 1)
        if sex == "female":
            name = f"female-young-averagemuscle-averageweight-{rng.choice(['max', 'min'])}cup-averagefirmness"
            shape = shape + self.target(name) * rng.uniform(0, 0.8)
        return shape.astype(np.float32)

    def posed(self, shape: Floats, turns: dict[str, Floats]) -> Floats:
        """Linear blend skinning; `turns` are rotations about a bone's head in the axes of the rest pose."""
        held: list[Floats] = [np.eye(4, dtype=np.float32)] * len(self.names)
        for at in self.order:
            name = self.names[at]
            pivot = shape[self.joints[self.bones[name]["head"]]].mean(axis=0)
            local = np.eye(4, dtype=np.float32)
            if name in turns:
                local[:3, :3] = turns[name]
                local[:3, 3] = pivot - turns[name] @ pivot
            parent = self.bones[name]["parent"]
            held[at] = local if parent is None else held[self.names.index(parent)] @ local
        joined = np.einsum("vb,bij->vij", self.weights, np.stack(held))
        moved = np.einsum("vij,vj->vi", joined[:, :3, :3], shape) + joined[:, :3, 3]
        return np.asarray(moved, dtype=np.float32)


def turn(x: float = 0, y: float = 0, z: float = 0) -> Floats:
    """Rotation by degrees about x, then y, then z."""
    a, b, c = np.radians([x, y, z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float32)


def pose(rng: np.random.Generator) -> dict[str, Floats]:
    """Standing, sitting or twisted, with arms anywhere an arm goes."""
    turns: dict[str, Floats] = {}
    for side, sign in (("L", 1), ("R", -1)):
        down = rng.uniform(-25, 70)
        turns[f"upperarm01.{side}"] = turn(0, sign * rng.uniform(-60, 15), -sign * down)
        turns[f"lowerarm01.{side}"] = turn(rng.uniform(-70, 0), -sign * rng.uniform(0, 100), 0)
        turns[f"upperleg01.{side}"] = turn(-rng.uniform(-10, 30), 0, sign * rng.uniform(-4, 12))
        turns[f"lowerleg01.{side}"] = turn(rng.uniform(0, 40), 0, 0)
    if rng.random() < 0.35:
        for side in "LR":
            turns[f"upperleg01.{side}"] = turn(
                -rng.uniform(60, 95), 0, rng.uniform(-8, 12) * (1 if side == "L" else -1)
            )
            turns[f"lowerleg01.{side}"] = turn(rng.uniform(50, 100), 0, 0)
    lean = rng.normal(0, 6, 3)
    for bone in ("spine04", "spine03", "spine02"):
        turns[bone] = turn(*lean)
    turns["neck01"] = turn(*rng.normal(0, 12, 3))
    turns["head"] = turn(*rng.normal(0, 10, 3))
    return turns


def noise(rng: np.random.Generator, side: int, octaves: int = 5, least: int = 2) -> Floats:
    """Cloudy noise in [0, 1]."""
    total = np.zeros((side, side), dtype=np.float32)
    for octave in range(octaves):
        cells = min(side, least * 2**octave)
        small = rng.random((cells + 1, cells + 1), dtype=np.float32)
        total += cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(high - low, 1e-6), dtype=np.float32)


@dataclass
class Layer:
    """Points of one surface in the picture: where, how far, facing where, and what part."""

    xy: Floats
    depth: Floats
    normal: Floats
    rest: Floats
    part: int


def sampled(
    assets: Assets, part: str, rest: Floats, moved: Floats, count: int, rng: np.random.Generator
) -> tuple[Floats, ...]:
    """Random points of a part's surface with normals, and where they were at rest."""
    faces = assets.faces[part]
    a, b, c = (moved[faces[:, corner]] for corner in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    normals = np.zeros_like(moved)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], cross)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    chosen = rng.choice(len(faces), count, p=area / area.sum())
    u, v = rng.random(count), rng.random(count)
    over = u + v > 1
    u[over], v[over] = 1 - u[over], 1 - v[over]
    shares = np.stack([1 - u - v, u, v], axis=1).astype(np.float32)
    corners = faces[chosen]
    return tuple(np.einsum("nk,nkd->nd", shares, item[corners]) for item in (moved, normals, rest))


def drawn(
    layers: list[tuple[Floats, Floats, Floats, int]], side: int
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Nearest point per pixel: part (0 for none), normal, rest position and depth."""
    xyz = np.concatenate([layer[0] for layer in layers])
    normal = np.concatenate([layer[1] for layer in layers])
    rest = np.concatenate([layer[2] for layer in layers])
    part = np.concatenate([np.full(len(layer[0]), layer[3]) for layer in layers])
    columns, rows = xyz[:, 0].astype(int), xyz[:, 1].astype(int)
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side) & (normal[:, 2] > -0.2)
    cell, depth = (rows * side + columns)[inside], xyz[inside, 2]
    order = np.lexsort((depth, cell))
    last = np.append(cell[order][1:] != cell[order][:-1], True)
    winner = np.flatnonzero(inside)[order[last]]
    where = cell[order[last]]
    parts = np.zeros(side * side, dtype=np.int64)
    normals, rests = np.zeros((side * side, 3), np.float32), np.zeros((side * side, 3), np.float32)
    depths = np.full(side * side, -1e9, dtype=np.float32)
    parts[where], normals[where], rests[where], depths[where] = (
        part[winner],
        normal[winner],
        rest[winner],
        xyz[winner, 2],
    )
    shape = (side, side)
    return parts.reshape(shape), normals.reshape(*shape, 3), rests.reshape(*shape, 3), depths.reshape(shape)


def _filled(parts: NDArray[np.int64], normals: Floats, rests: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Holes between points are closed by the nearest neighbour."""
    missing = (parts == 0).astype(np.uint8)
    closed = cv2.morphologyEx(1 - missing, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    holes = (closed == 1) & (parts == 0)
    _, nearest = cv2.distanceTransformWithLabels(missing, cv2.DIST_L1, 3, labelType=cv2.DIST_LABEL_PIXEL)
    seeds = np.flatnonzero(missing.ravel() == 0)
    if not len(seeds):
        return parts, normals, rests
    table = np.zeros(int(nearest.max()) + 1, dtype=np.int64)
    table[nearest.ravel()[seeds]] = seeds
    source = table[nearest[holes]]
    for item in (parts, normals, rests):
        flat = item.reshape(parts.size, -1)
        item[holes] = flat[source].reshape(item[holes].shape)
    return parts, normals, rests


def background(rng: np.random.Generator, photographs: list[NDArray[np.uint8]]) -> Floats:
    """A room, a landscape, drapery, or a part of one of `photographs`."""
    kind = rng.random()
    if photographs and kind < 0.35:
        photo = photographs[rng.integers(len(photographs))]
        high, wide = photo.shape[:2]
        edge = int(min(high, wide) * rng.uniform(0.5, 1))
        top, left = rng.integers(high - edge + 1), rng.integers(wide - edge + 1)
        return np.asarray(
            cv2.resize(photo[top : top + edge, left : left + edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA),
            np.float32,
        )
    first, second = (rng.uniform(10, 220) + rng.normal(0, 22, 3) for _ in range(2))
    if rng.random() < 0.5:
        first, second = first * np.array([1, 0.85, 0.65]), second * np.array([0.6, 0.45, 0.35])
    cloud = noise(rng, SIDE, int(rng.integers(2, 7)))[..., None]
    if kind < 0.6:
        rows = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
        cloud = np.clip(0.6 * rows + 0.4 * cloud, 0, 1)
    if kind > 0.85:
        x = np.arange(SIDE) / SIDE
        folds = np.sin(x[None, :] * rng.uniform(20, 70) + 6 * noise(rng, SIDE, 3)) * 0.5 + 0.5
        cloud = 0.5 * cloud + 0.5 * folds[..., None]
    ground = first * (1 - cloud) + second * cloud
    if rng.random() < 0.6:
        line = int(SIDE * rng.uniform(0.5, 0.9))
        ground[line:] = ground[line:] * 0.5 + (rng.uniform(20, 220) + rng.normal(0, 20, 3)) * 0.5
    return np.asarray(ground, np.float32)


def shade(
    parts: NDArray[np.int64],
    normals: Floats,
    rests: Floats,
    ground: Floats,
    rng: np.random.Generator,
    tone: Floats,
    cloths: Floats,
    hair: Floats,
) -> Floats:
    """Light on skin, cloth and hair over the background."""
    light = np.array([rng.uniform(-1, 1), -rng.uniform(0, 1), rng.uniform(0.4, 1)])
    light /= np.linalg.norm(light)
    lambert = np.clip(normals @ light * 0.75 + 0.25, 0, 1)
    ambient = rng.uniform(0.15, 0.5)
    lit = (ambient + (1 - ambient) * lambert)[..., None]
    mottle = 1 + 0.08 * (noise(rng, SIDE, 6)[..., None] - 0.5)
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    skin = tone * mottle * np.array([1, 0.97 + 0.03, 1])
    colour[:] = skin
    colour = np.where(
        (parts == 2)[..., None], cloths[0] * (1 + 0.3 * (noise(rng, SIDE, 6, 6)[..., None] - 0.5)), colour
    )
    colour = np.where(
        (parts == 3)[..., None], cloths[1] * (1 + 0.3 * (noise(rng, SIDE, 6, 6)[..., None] - 0.5)), colour
    )
    colour = np.where((parts == 4)[..., None], hair * (0.6 + 0.8 * noise(rng, SIDE, 7, 12)[..., None]), colour)
    # shadows of skin are warm, not grey
    warm = np.where((parts == 1)[..., None], np.array([1.0, 0.93, 0.88]), 1.0)
    shown = colour * lit * (lit + (1 - lit) * warm)
    return np.asarray(np.where((parts > 0)[..., None], shown, ground), np.float32)


def styled(
    picture: Floats, parts: NDArray[np.int64], normals: Floats, style: str, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture as a photograph, oil painting, drawing, statue or engraving might look."""
    shown = picture.clip(0, 255).astype(np.uint8)
    if style == "oil":
        shown = strokes(shown, int(rng.integers(1, 4)))
        canvas = 1 + 0.10 * (rng.random((SIDE, SIDE, 1)).astype(np.float32) - 0.5)
        glaze = np.array([1, rng.uniform(0.88, 1), rng.uniform(0.7, 1)])
        return np.asarray((shown * canvas * glaze).clip(0, 255), np.uint8)
    if style in ("drawing", "engraving"):
        return drawing(shown, engraved=style == "engraving", rng=rng)
    if style == "statue":
        return shown
    softened = cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.4, 1.0))
    grain = rng.normal(0, rng.uniform(0, 5), (SIDE, SIDE, 1))
    return np.asarray((softened + grain).clip(0, 255), np.uint8)


def strokes(picture: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """Kuwahara's filter: each pixel takes the mean of its calmest quarter, which looks like brush work."""
    source = picture.astype(np.float32)
    size = radius + 1
    means = cv2.blur(source, (size, size))
    spread = (cv2.blur(source**2, (size, size)) - means**2).sum(axis=2)
    best, found = None, None
    for dy in (-radius, 0):
        for dx in (-radius, 0):
            at = np.roll(spread, (dy + radius // 2 + 1, dx + radius // 2 + 1), (0, 1))
            mean = np.roll(means, (dy + radius // 2 + 1, dx + radius // 2 + 1), (0, 1))
            if best is None or found is None:
                best, found = at, mean
                continue
            better = at < best
            best, found = np.where(better, at, best), np.where(better[..., None], mean, found)
    return np.asarray(found, np.float32).clip(0, 255).astype(np.uint8)


def drawing(picture: NDArray[np.uint8], *, engraved: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Chalk, pencil or an engraver's hatching on paper."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.GaussianBlur(255 - grey, (0, 0), rng.uniform(2, 6))
    line = np.clip(grey * 255 / np.maximum(255 - soft, 1), 0, 255)
    dark = 0.5 * line + 0.5 * np.clip(grey * rng.uniform(0.9, 1.4) + rng.uniform(0, 60), 0, 255)
    if engraved:
        y, x = np.mgrid[0:SIDE, 0:SIDE]
        hatch = np.sin((x * rng.uniform(-1, 1) + y) * rng.uniform(1.2, 2.2)) * 0.5 + 0.5
        dark = np.where(hatch * 255 > grey, dark * 0.45, np.minimum(dark * 1.3, 255))
    grain = rng.normal(0, 9, (SIDE, SIDE))
    share = np.clip((dark + grain) / 255, 0, 1)[..., None]
    paper = np.array([245, rng.uniform(225, 245), rng.uniform(185, 240)])
    ink = np.array([rng.uniform(20, 110), rng.uniform(15, 60), rng.uniform(10, 50)])
    return np.asarray(ink * (1 - share) + paper * share, np.uint8)


def scene(
    assets: Assets, seed: int, photographs: list[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """(bare, dressed, style): the same figures twice as (SIDE, SIDE, 3) RGB."""
    rng = np.random.default_rng(seed)
    style = str(rng.choice(STYLES, p=[0.3, 0.36, 0.14, 0.12, 0.08]))
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))
    figures = []
    for at in range(count):
        shape = assets.shaped(rng)
        moved = assets.posed(shape, pose(rng))
        yaw = rng.normal(0, 50) if rng.random() < 0.75 else rng.uniform(-180, 180)
        lying = rng.random() < 0.22
        whole = turn(
            rng.normal(0, 8), 0, rng.choice([-90, 90]) + rng.normal(0, 15) if lying else rng.normal(0, 6)
        ) @ turn(0, yaw, 0)
        moved = moved @ whole.T
        low, high = moved[:BODY].min(axis=0), moved[:BODY].max(axis=0)
        tall = float(max(high[1] - low[1], high[0] - low[0]))
        whole_figure = count > 1 or rng.random() < 0.45
        near = rng.uniform(0.6, 1.0) if whole_figure else rng.uniform(1.0, 2.6)
        zoom, middle = SIDE / tall * near, (low + high) / 2
        if near > 1.1:
            middle[1] += rng.uniform(-0.05, 0.2 + 0.08 * near) * (high[1] - low[1])
        shift = np.array([SIDE * ((at + 0.5) / count + rng.normal(0, 0.05)), SIDE * (0.5 + rng.normal(0, 0.05))])
        figures.append((shape, moved, middle, zoom, shift))
    ground = background(rng, photographs)
    tone = np.array(SKINS[int(rng.choice(len(SKINS), p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.05]))], np.float32) * rng.uniform(
        0.85, 1.1
    )
    if style == "statue":
        tone = np.array(
            [(225, 220, 208), (200, 196, 190), (96, 78, 52), (70, 84, 70), (190, 170, 140)][rng.integers(5)], np.float32
        )
    cloths = rng.uniform(15, 240, (2, 3)).astype(np.float32) if style != "statue" else np.stack([tone, tone])
    hair = np.array(
        [(40, 28, 20), (90, 58, 32), (150, 110, 60), (190, 160, 110), (60, 60, 60)][rng.integers(5)], np.float32
    )
    hair = tone * 0.9 if style == "statue" else hair
    dressed = {"tights"} if style in ("plain", "oil") and rng.random() < 0.4 else {"tights", "skirt"}
    light = int(rng.integers(1 << 30))
    long_hair = rng.random() < 0.4
    found = []
    for worn in (set(), dressed):
        layers = []
        for shape, moved, middle, zoom, shift in figures:
            for number, part in enumerate(PARTS, 1):
                if part in ("tights", "skirt") and part not in worn:
                    continue
                points, normal, rest = sampled(
                    assets, part, shape, moved, (130_000 if part == "body" else 70_000) // (1 if count == 1 else 2), rng
                )
                if part == "hair" and not long_hair:
                    kept = rest[:, 1] > 6.2
                    points, normal, rest = points[kept], normal[kept], rest[kept]
                lift = 0.0 if part in ("body", "hair") else 0.14
                at = (points + normal * lift - middle) * zoom
                layers.append(
                    (
                        np.stack([at[:, 0] + shift[0], shift[1] - at[:, 1], at[:, 2]], axis=1),
                        normal * np.array([1, -1, 1], np.float32),
                        rest,
                        number,
                    )
                )
        parts, normals, rests, _ = drawn(layers, SIDE)
        parts, normals, rests = _filled(parts, normals, rests)
        again = np.random.default_rng(light)
        picture = shade(parts, normals, rests, ground, again, tone, cloths, hair)
        found.append(styled(picture, parts, normals, style, again))
    return found[0], found[1], style
