"""The kit does what its labels say: kernels equal the libraries, attacks show their text, files carry their payload."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image, ImageCms, ImageOps, IptcImagePlugin
from threadpoolctl import threadpool_limits

from tests.attacks.hidden import corpus, covers, families, kernels, lettering, payloads, plans, scaling, scenes
from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half

HALVES: tuple[Half, Half] = ("train", "blind")
ALL_VARIANTS = [(family, variant) for family, variants in families.VARIANTS.items() for variant in variants]


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    with threadpool_limits(limits=1):
        yield
    cv2.setNumThreads(before)


@lru_cache(maxsize=8)
def _cover(size: tuple[int, int] = (600, 520), seed: int = 3, half: Half = "train") -> Image.Image:
    """A calm photo-like picture: the sea of one half, the dunes of the other."""
    rng = np.random.default_rng(seed)
    scene = scenes.SCENES[half]["seascape" if half == "train" else "dunes"]
    return covers.as_image(scenes.camera(scene(size, rng), rng))


def _plan(family: plans.Family, kernel: str, *, noise: str = "none", channel: plans.Channel = "luma") -> plans.Plan:
    contrast = 30.0 if family == "antialiased" else 70.0
    return plans.Plan(family, kernel, (1024, 768), (299, 224), "short_side", contrast, channel, noise, 100.0)


def _attack(plan: plans.Plan, seed: int = 5) -> scaling.Attack:
    draw = scaling.antialiased if plan.family == "antialiased" else scaling.sparse
    return draw(_cover(plan.size), plan, "train", np.random.default_rng(seed))


@pytest.mark.parametrize("kernel", kernels.SPARSE + kernels.SMOOTH)
@pytest.mark.parametrize(
    ("size", "target"), [((640, 512), (224, 224)), ((516, 530), (299, 397)), ((512, 768), (256, 384))]
)
def test_the_matrices_are_the_librarys_resize(kernel: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    grid = np.random.default_rng(1).integers(0, 256, (size[1], size[0])).astype(np.uint8)
    down, across = kernels.rows(kernel, size[1], target[1]), kernels.rows(kernel, size[0], target[0])
    ours = across.down(np.ascontiguousarray(down.down(grid.astype(np.float32)).T)).T
    assert np.allclose(down.dense() @ grid.astype(np.float32) @ across.dense().T, ours, atol=0.05)
    # Where a kernel rings past 0..255 between its two passes, the library clips and no linear map can follow.
    between = across.down(np.ascontiguousarray(grid.T.astype(np.float32))).T
    safe = (down.dense() != 0).astype(np.float32) @ ((between < 0) | (between > 255)).astype(np.float32) == 0
    assert safe.mean() > 0.1
    apart = np.abs(np.clip(ours, 0, 255) - kernels.resize(grid, target, kernel).astype(np.float32))
    assert float(apart[safe].max()) <= 1.5


@pytest.mark.parametrize("kernel", kernels.SPARSE + kernels.SMOOTH)
def test_the_least_change_moves_the_view_as_wanted_and_null_space_noise_does_not(kernel: str) -> None:
    rng = np.random.default_rng(2)
    wanted = np.zeros((224, 299), np.float32)
    wanted[40:80, 30:200] = scenes.blur(rng.standard_normal((40, 170), np.float32) * 60, 1.0)
    change = kernels.least_change(wanted, (897, 672), kernel)
    assert np.abs(kernels.resize_float(change, (299, 224), kernel) - wanted).max() < 2
    noise = rng.standard_normal((672, 897), np.float32) * 60
    unseen = kernels.without_view(noise, (299, 224), kernel)
    assert np.abs(kernels.resize_float(unseen, (299, 224), kernel)).max() < 2
    assert unseen.std() > 30


@pytest.mark.parametrize("kernel", kernels.SPARSE)
def test_a_sparse_attack_shows_its_text_in_its_own_view_only(kernel: str) -> None:
    attack = _attack(_plan("sparse", kernel))
    assert scaling.works(attack)
    assert scaling.shown(attack) > 0.95
    assert scaling.seen_contrast(attack) > 60
    assert abs(scaling.seen_contrast(attack, kernel="cv2_area")) < 0.3 * scaling.seen_contrast(attack)
    assert float(str(attack.details["psnr"])) > 30


def test_a_sparse_attack_can_sit_in_one_colour_channel() -> None:
    attack = _attack(_plan("sparse", "cv2_cubic", channel="blue"))
    assert scaling.works(attack)
    changed = np.abs(scaling.pixels_of(attack.image).astype(int) - np.asarray(_cover((1024, 768))))
    assert changed[..., :2].max() == 0
    assert changed[..., 2].max() > 30


@pytest.mark.parametrize("kernel", kernels.SPARSE)
def test_a_one_line_attack_is_one_line(kernel: str) -> None:
    attack = _attack(_plan("one_line", kernel))
    assert scaling.works(attack)
    assert attack.details["lines"] == 1
    assert 14 <= int(str(attack.details["line_px"])) <= 20


@pytest.mark.parametrize(("kernel", "noise"), list(zip(kernels.SMOOTH, [*plans.NOISES, *plans.NOISES], strict=False)))
def test_an_antialiased_attack_shows_its_text_downscaled_and_hides_it_at_full_size(kernel: str, noise: str) -> None:
    attack = _attack(_plan("antialiased", kernel, noise=noise))
    assert scaling.works(attack)
    assert scaling.shown(attack) > 0.9
    assert scaling.plain(attack) < 0.4
    assert 20 <= scaling.seen_contrast(attack) <= 40


@pytest.mark.parametrize("quality", [70, 80, 90, 95])
@pytest.mark.parametrize(("family", "kernel"), [("sparse", "cv2_linear"), ("antialiased", "pil_bicubic")])
def test_jpeg_copies_still_work(family: plans.Family, kernel: str, quality: int) -> None:
    copy = scaling.jpeg_copy(_attack(_plan(family, kernel, noise="uniform")), quality)
    assert isinstance(copy.image, bytes)
    assert Image.open(io.BytesIO(copy.image)).format == "JPEG"
    assert scaling.works(copy)


def test_plans_keep_their_bounds() -> None:
    rng = np.random.default_rng(8)
    drawn = [plans.draw(family, rng) for family in ("sparse", "antialiased", "one_line") for _ in range(150)]
    for plan in drawn:
        steps = [large / small for large, small in zip(plan.size, plan.target, strict=True)]
        assert min(plan.size) >= 512
        assert max(plan.size) <= plans.HUGE
        assert min(steps) >= 1.25
        assert max(steps) <= 12
        assert 192 <= min(plan.target) <= 512
    ratios = np.array([plan.ratio for plan in drawn])
    assert (ratios < 2).mean() > 0.1
    assert (ratios > 5).mean() > 0.08


def _made(family: str, variant: str, half: Half = "train", seed: int = 11) -> families.Hidden:
    rng = np.random.default_rng([seed, HALVES.index(half)])
    return families.make(family, _cover(half=half), payloads.payload(half, rng), rng, half, variant=variant)


def _read_metadata(hidden: families.Hidden) -> str:
    """What Pillow says at the place the variant names."""
    image = families.opened(hidden)
    place = hidden.variant.split("_", 1)[1]
    if place == "exif_usercomment":
        return str(image.getexif().get_ifd(0x8769)[0x9286])
    if place.startswith("exif"):
        return str(image.getexif()[0x010E])
    if place == "icc":
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])))
    if place == "iptc":
        return str((IptcImagePlugin.getiptcinfo(image) or {})[(2, 120)])
    if place == "xmp":
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
        return packet.decode() if isinstance(packet, bytes) else str(packet)
    if hidden.variant == "jpeg_comment":
        return str(image.info["comment"])
    return str(image.info["Description" if place == "text" else "Comment"])


def _read_polyglot(hidden: families.Hidden) -> str | Plane:
    if hidden.variant.endswith("zip"):
        return zipfile.ZipFile(io.BytesIO(hidden.data)).read("note.txt").decode()
    if hidden.variant.endswith("picture"):
        start = hidden.data.rindex(b"\x89PNG\r\n\x1a\n")
        assert start > 1000
        return _luma(Image.open(io.BytesIO(hidden.data[start:])))
    if hidden.variant == "jpeg_app_segment":
        return hidden.data[2:400].decode("latin-1")
    ends = {"jpg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "gif": b"\x00;"}
    return hidden.data[hidden.data.rindex(ends[hidden.suffix]) :].decode("latin-1")


def _luma(image: Image.Image) -> Plane:
    return np.asarray(image.convert("L"), np.float32)


def _read_lsb(hidden: families.Hidden) -> str | Plane:
    pixels = np.asarray(families.opened(hidden))
    channel = int(str(hidden.details["channel"]))
    if hidden.variant == "picture_plane":
        return (pixels[..., channel] & 1).astype(np.float32)
    values = pixels[..., channel] if hidden.variant == "single_channel" else pixels
    bits = values.reshape(-1)[: int(str(hidden.details["bits"]))] & 1
    order = np.packbits(bits, bitorder="little" if hidden.variant == "rgb_lsb_first" else "big")
    return order.tobytes().decode("latin-1")


def _read_code(hidden: families.Hidden) -> str:
    left, top, right, bottom = np.asarray(hidden.details["box"])
    luma = _luma(families.opened(hidden))[top:bottom, left:right]
    stretched = (luma - luma.min()) / (luma.max() - luma.min()) * 255
    return " ".join(code.text for code in zxingcpp.read_barcodes(stretched.astype(np.uint8)))


def _read_pixels(hidden: families.Hidden) -> Plane:
    """The plane in which the text of a drawn family shows."""
    image = families.opened(hidden)
    if hidden.family == "second_frame":
        at = int(str(hidden.details["frame"]))
        first = _luma(image)
        image.seek(at)
        return np.asarray(_luma(image) - np.roll(first, 3 * at, axis=1), np.float32)
    if hidden.family == "orientation":
        return _luma(ImageOps.exif_transpose(image))
    if hidden.variant == "colour_under_transparent":
        assert np.asarray(image)[..., 3].min() == 0
        return _luma(Image.fromarray(np.asarray(image)[..., :3]))
    if hidden.family == "alpha":
        return np.asarray(image.getchannel("A"), np.float32)
    if hidden.family == "palette":
        return (np.asarray(image) >= int(str(hidden.details["first_twin"]))).astype(np.float32)
    if hidden.family == "bit16":
        deep = cv2.imdecode(np.frombuffer(hidden.data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert deep is not None
        assert deep.dtype == np.uint16
        low = (np.asarray(deep, np.uint16) & 255).astype(np.float32)
        return low if low.ndim == 2 else np.asarray(low.mean(axis=2), np.float32)
    return _luma(image)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(("family", "variant"), ALL_VARIANTS)
def test_a_family_carries_its_payload_where_it_says(family: str, variant: str, half: Half) -> None:
    hidden = _made(family, variant, half)
    assert families.opened(hidden).size[0] >= 256
    readers = {"metadata": _read_metadata, "polyglot": _read_polyglot, "lsb": _read_lsb, "qr": _read_code}
    seen = readers.get(family, _read_pixels)(hidden)
    if isinstance(seen, str):
        carried = hidden.payload in seen
        assert carried
        return
    assert hidden.mask is not None
    left, top, right, bottom = np.asarray(hidden.details["box"])
    if variant == "photo":
        # Three levels drown in a photo's own texture, so the cover is taken away first.
        seen = seen - _luma(_cover(half=half))
    found = scaling.correlation(seen[top:bottom, left:right], hidden.mask[top:bottom, left:right])
    assert abs(found) > 0.6


def test_the_second_frame_and_the_orientation_are_needed_to_read_the_text() -> None:
    moved = _made("second_frame", "apng")
    assert moved.mask is not None
    assert abs(scaling.correlation(_luma(families.opened(moved)), moved.mask)) < 0.3
    turned = _made("orientation", "3")
    assert turned.mask is not None
    assert abs(scaling.correlation(_luma(families.opened(turned)), turned.mask)) < 0.3


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", covers.KINDS)
def test_benign_kinds_draw_colour_pictures_of_the_promised_size(kind: str, half: Half) -> None:
    size = 530, 512
    one, two = (covers.draw(kind, size, np.random.default_rng(4), half) for _ in range(2))
    assert one.mode == "RGB"
    assert one.size == size
    assert one.tobytes() == two.tobytes()
    assert float(np.asarray(one).std()) > 2


def _repeated(lines: tuple[str, ...]) -> list[int]:
    """Where a sentence stands that stood before: indices alone, since a failure must not print the blind half."""
    folded = [" ".join(line.casefold().split()) for line in lines]
    return [index for index, line in enumerate(folded) if line in set(folded[:index])]


def test_no_sentence_stands_twice_in_a_half_or_in_both() -> None:
    every = (*payloads.PAYLOADS["train"], *payloads.HARMLESS["train"])
    every += (*payloads.PAYLOADS["blind"], *payloads.HARMLESS["blind"])
    found = _repeated(every)
    assert found == [], "indices in the train half's sentences followed by the blind half's"
    counts = [len(lines[half]) for lines in (payloads.PAYLOADS, payloads.HARMLESS) for half in HALVES]
    assert counts == [80, 360, 60, 245]
    assert _repeated(("One", "two", "ONE ", "three", "two")) == [2, 4]


@pytest.mark.parametrize("half", HALVES)
def test_sentences_have_the_promised_form(half: Half) -> None:
    lines = payloads.PAYLOADS[half]
    wrong = [index for index, line in enumerate(lines) if not 4 <= len(line.split()) <= 14 or len(line) > 80]
    assert wrong == []
    # Text of some hiding places is ASCII, and markup would be written otherwise than it is read.
    every = lines + payloads.HARMLESS[half]
    plain = [
        line.isascii() and line.isprintable() and line == line.strip() and not {*line} & {*"<>&"} for line in every
    ]
    assert [index for index, fine in enumerate(plain) if not fine] == []


def test_the_halves_share_neither_fonts_nor_scenes() -> None:
    assert not set(lettering.FONTS["train"]) & set(lettering.FONTS["blind"])
    assert not set(scenes.SCENES["train"]) & set(scenes.SCENES["blind"])


SMALL = {"sparse": 1, "antialiased": 1, "one_line": 1, "sparse_q80": 1, "benign": 2, "harmless": 1, "metadata": 7}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    labels = corpus.build(tmp_path / "one", "train", 37, SMALL)
    # Other counts first: a file depends on its own set and index only.
    again = corpus.build(tmp_path / "two", "train", 37, dict(reversed(SMALL.items())))
    assert {label["file"]: label for label in labels} == {label["file"]: label for label in again}
    for label in labels:
        assert (tmp_path / "one" / label["file"]).read_bytes() == (tmp_path / "two" / label["file"]).read_bytes()
    other = corpus.build(tmp_path / "three", "blind", 37, {"metadata": 1, "benign": 1})
    assert (tmp_path / "three" / other[0]["file"]).read_bytes() != (tmp_path / "one" / "metadata_0000.png").read_bytes()


def test_an_interrupted_build_goes_on_where_it_stopped_and_comes_out_the_same(tmp_path: Path) -> None:
    counts = {"metadata": 2, "benign": 1}
    whole = corpus.build(tmp_path / "whole", "train", 5, counts, workers=2)
    part = tmp_path / "part"
    corpus.build(part, "train", 5, {"metadata": 1})
    kept = (part / "metadata_0000.png").stat().st_mtime_ns
    with (part / "labels.jsonl").open("a") as file:
        file.write('{"file": "metadata_0001.png", "cut o')
    seen: list[tuple[int, int]] = []
    assert corpus.build(part, "train", 5, counts, made=lambda done, of: seen.append((done, of))) == whole
    assert seen == [(2, 3), (3, 3)]
    assert (part / "metadata_0000.png").stat().st_mtime_ns == kept
    other = corpus.build(part, "train", 6, {"metadata": 1})
    assert [label["seed"] for label in other] == [6]


def test_labels_tell_attacks_from_benign_pictures(tmp_path: Path) -> None:
    counts = {"one_line_q90": 1, "qr": 1, "benign": 3, "harmless": 1, "cropped": 2, "shaped": 1}
    labels = corpus.build(tmp_path, "blind", 9, counts)
    written = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert written == labels
    assert [label["label"] for label in labels] == [1, 1, 0, 0, 0, 0, 1, 1, 1]
    assert [label["window"] for label in labels[6:8]] == ["crop", "pad"]
    assert labels[8]["shape"] == "grain"
    known = labels[0]["payload"] in payloads.PAYLOADS["blind"]
    assert known
    assert labels[0]["quality"] == 90
    assert labels[0]["shown"] >= scaling.SHOWN
    for label in labels:
        Image.open(tmp_path / label["file"]).load()


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown sets: nonsense"):
        corpus.build(tmp_path, "train", 1, {"nonsense": 1})
