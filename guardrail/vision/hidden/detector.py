"""`HiddenDetector`: reads what an upload says, shown or hidden, and hands the texts to the text room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import cv2
import numpy as np

from guardrail.detector import DetectorContext, Example
from guardrail.signals import (
    RGB,
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    FoundText,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.hidden import bands, bits, planes, scaling
from guardrail.vision.hidden.clearer import VIEW_SIDE, clearer, enlarged, unclouded
from guardrail.vision.hidden.codes import codes
from guardrail.vision.hidden.frames import added, calm, fitted, passes, still
from guardrail.vision.hidden.noise import MAX_SIDE, calm_views, noisy
from guardrail.vision.hidden.sized import sized
from guardrail.vision.hidden.tints import PRINT, apart, tint
from guardrail.vision.hidden.written import SIDE, uncovered, written
from guardrail.vision.ocr.lines import Line
from guardrail.vision.ocr.reader import MODELS, Reader
from guardrail.vision.pixels import orient

NAME = "vision.hidden"
VISIBLE, SCALING, CONCEALED, CODE = (
    "injection.visible_text",
    "injection.scaling",
    "injection.concealed",
    "injection.code",
)
MAX_VIEW_LINES = 24
"""Lines read of a view: one for each line that an instruction may have, and some of the picture's own."""
MIRRORED = (2, 4, 5, 7)
"""Orientations in which a viewer mirrors the stored pixels; each undoes itself."""
MAX_FRAMES = 8
"""Frames read after the first: the first ones that differ from those before."""
NEW_LETTERS = 12
"""Letters that a view shows and the picture does not, from which they count as new."""
_NEW, _HIDDEN, _CODED = 0.3, 0.4, 0.2
_STATISTIC, _LEAST_WRITTEN = 0.25, 0.2
"""A statistic alone proves little: stripes and noise have it too."""
_PAYLOAD = 0.2
"""Share of what a view shows of a line that the pixels beside lack, from which somebody has written it for the view."""
_SAME_FRAME = 3.0
_ALIKE, _CLEAR, _SURE = 0.6, 0.7, 0.9
_SHORT = 8
"""Letters of a line from which it may tell what size it was written for."""
_NEAR = 3
_LITTLE = 6
"""Letters of which noise leaves a payload short where the picture is half legible."""
_CRUMBS = 4
"""Letters of a line of a plane on average, below which it is judged as text in plain sight is."""
_MUCH = 0.2
"""Share of a view's letters that must be new, lest all that it says is taken for concealed."""


@dataclass(slots=True)
class _Found:
    """What was read so far in one picture."""

    texts: list[FoundText] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    inspected: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)

    def add(
        self,
        signal: str,
        text: str,
        evidence: Evidence,
        *,
        score: float = 0.0,
        concealed: bool = False,
        legible: bool | None = None,
    ) -> None:
        if text.strip():
            self.texts.append(FoundText(signal, text, evidence, concealed, legible))
            if score:
                self.signals.append(Signal(signal, score, NAME, (evidence,)))


class HiddenDetector:
    """Reads a picture as it is shown, as it looks when it is scaled, and where nobody looks.

    It says where text stands and raises low scores for text that is hidden; whether a text instructs the machine is for
    `text.pictured` to judge.
    """

    name = NAME
    stages = frozenset({Stage.INPUT})
    emits = frozenset({VISIBLE, SCALING, CONCEALED, CODE})
    cost_ms = 150.0
    models = MODELS

    def __init__(self, context: DetectorContext) -> None:
        self._reader = Reader(context.models)
        self._preprocessing = context.settings.preprocessing

    def detect(self, subject: Subject) -> Detection:
        """Texts of every frame and plane, and of the views that differ from the picture.

        Raises:
            DetectionError: a network failed.
        """
        picture = subject.picture
        if picture is None:
            return Detection(coverage=Coverage((f"{NAME}:pictures=0",)))
        found = _Found()
        where = picture.source.where
        shown = self._shown(picture.frames[0].rgb, where, found, lossless=not bits.lossy(picture))
        for frame in self._others(picture, found):
            evidence = Evidence(where=where, frame=frame.index, view="frame")
            self._read_frame(picture.frames, frame.index, shown, evidence, found)
        for plane in planes.planes(picture):
            evidence = Evidence(where=where, view=plane.name, frame=plane.frame or None)
            self._read_hidden(plane.rgb, shown, evidence, found)
        if picture.orientation in MIRRORED:
            self._read_stored(orient(picture.frames[0].rgb, picture.orientation), shown, where, found)
        if len(picture.frames) > 1 and not bits.lossy(picture):
            found.skipped.append(Skip(f"{NAME}:planes", "palettes, low bytes and low bits of frames after the first"))
        if picture.width * picture.height > bits.MAX_PIXELS:
            found.skipped.append(Skip(f"{NAME}:low-bits", f"pixels after the first {bits.MAX_PIXELS}"))
        for text in bits.low_bit_texts(picture):
            found.add(CONCEALED, text, Evidence(where=where, view="low-bits"), score=_HIDDEN, concealed=True)
        share = 0.0 if bits.lossy(picture) else bits.written_share(picture.frames[0].rgb)
        if share > _LEAST_WRITTEN:
            evidence = Evidence(where=where, view="low-bits", detail={"statistic": "sample-pairs"})
            found.signals.append(Signal(CONCEALED, _STATISTIC * share, NAME, (evidence,)))
        coverage = Coverage(tuple(f"{NAME}:{item}" for item in found.inspected), tuple(dict.fromkeys(found.skipped)))
        return Detection(tuple(_best(found.signals)), coverage, tuple(found.texts))

    def examples(self) -> Sequence[Example]:
        """Faint letters beneath transparency, and an empty wall."""
        rgb = np.full((96, 480, 3), 210, np.uint8)
        written = cv2.putText(rgb.copy(), "the quiet harbour", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3)
        beneath = Frame(0, rgb, np.asarray(written, dtype=np.uint8))
        return (
            Example(_subject(beneath), {CONCEALED: 0.3}, {VISIBLE: 0.5}, "a line beneath transparency"),
            Example(_subject(Frame(0, rgb)), {}, {CONCEALED: 0.1, SCALING: 0.1, CODE: 0.1}, "an empty wall"),
        )

    def _shown(self, rgb: RGB, where: str, found: _Found, *, lossless: bool) -> tuple[Line, ...]:
        """The first frame: its lines, which are returned, codes, and views."""
        read = written(self._reader, rgb, lossless=lossless)
        self._note(read.skipped, found)
        shown = read.lines
        found.inspected.append(f"lines={len(shown)}")
        for part in read.readings:
            found.add(VISIBLE, _text(part), Evidence(where=where, view="plain", box=_around(part)))
        for part in read.faint:
            if _letters(part) >= NEW_LETTERS:
                found.add(VISIBLE, _text(part), Evidence(where=where, view="faint", box=_around(part)), concealed=True)
        for code in codes(rgb):
            evidence = Evidence(where=where, view=code.kind, box=code.box)
            found.add(CODE, code.text, evidence, score=_CODED, concealed=True)
        self._views(rgb, shown, where, found)
        return shown

    def _views(self, rgb: RGB, shown: Sequence[Line], where: str, found: _Found) -> None:
        """What the views of suspicious sizes show, and those of the operator's own models."""
        height, width = rgb.shape[:2]
        source, sparse = rgb, scaling.suspects(rgb)
        if not sparse and len(shown) >= PRINT:
            # rows of print hide a lattice, but not where it is of another colour, and there it shows its period
            source = apart(rgb)
            sparse = scaling.suspects(source, usual=False)
        calm = calm_views(rgb)
        if max(height, width) > MAX_SIDE and noisy(rgb):
            found.skipped.append(Skip(f"{NAME}:noise", f"views of a noisy picture over {MAX_SIDE} pixels"))
        written_for = self._sized(rgb, shown, where, found)
        own = [scaling.View(way.scaled(width, height), way.kernel) for way in self._preprocessing]
        read: list[scaling.View] = []
        for view in (*written_for, *sparse, *calm):
            if not any(_one_side(view, other) for other in read):
                if view in calm:
                    pictures = clearer(scaling.reduced(rgb, view))
                else:
                    ground = source if view in sparse else rgb
                    seen = scaling.reduced(ground, view)
                    pictures = [seen, scaling.changed(ground, view), unclouded(seen)]
                sure, vanishing = True if view in written_for else None, view in calm and view.score > 0
                part = shown, rgb.shape, where, found
                if self._read_view(pictures, view, *part, vanishing=vanishing, legible=sure):
                    read.append(view)
        for view in own:
            self._read_view([scaling.reduced(rgb, view)], view, shown, rgb.shape, where, found, suspected=False)
        tinted = self._tinted(rgb, shown, where, found)
        found.inspected.append(f"views={len(written_for) + len(sparse) + len(calm) + len(own) + tinted}")

    def _sized(self, rgb: RGB, shown: Sequence[Line], where: str, found: _Found) -> list[scaling.View]:
        """Hand over shown lines that somebody wrote for another size, as what is concealed; the view of that size."""
        told = [line for line in shown if line.score >= _ALIKE and _letters([line]) >= _SHORT]
        lines = sized(rgb, [line.box for line in told])
        if lines is None:
            return []
        block = _block([told[at] for at in lines.lines])
        view = scaling.View(lines.size, lines.kernel, 1.0, _marked(block, rgb.shape))
        text = _text([line for line in shown if _inside(line.box.centre, block)])
        evidence = Evidence(where=where, view=f"{view.kernel} {view.size[0]}x{view.size[1]}")
        found.add(SCALING, text, evidence, score=_NEW, concealed=True, legible=True)
        return [view]

    def _tinted(self, rgb: RGB, shown: Sequence[Line], where: str, found: _Found) -> int:
        """What one colour channel says and the picture does not; how many channels were read."""
        alone = tint(rgb, [line.box for line in shown])
        if alone is None:
            return 0
        read = self._reader.read(alone.rgb, max(alone.rgb.shape[:2]), MAX_VIEW_LINES)
        self._note(read.skipped, found)
        evidence = Evidence(where=where, view=f"channel-{alone.channel}")
        new = _new(read.lines, shown)
        if _letters(new) >= NEW_LETTERS:
            found.add(CONCEALED, _text(new), evidence, score=_NEW, concealed=True)
        if _letters(_better(read.lines, shown)) >= NEW_LETTERS:
            # an instruction may be legible in part: the whole of it, which is in plain sight
            found.add(CONCEALED, _text([line for line in read.lines if line.score >= _CLEAR]), evidence)
        return 1

    def _read_view(
        self,
        pictures: Sequence[RGB],
        view: scaling.View,
        shown: Sequence[Line],
        frame: tuple[int, ...],
        where: str,
        found: _Found,
        *,
        suspected: bool = True,
        vanishing: bool = False,
        legible: bool | None = None,
    ) -> bool:
        """Hand over what a view says in any of its pictures; whether something was read clearly that is new.

        Of a view that lines of the picture were written for, these are `legible`, and handed over already.
        """
        evidence = Evidence(where=where, view=f"{view.kernel} {view.size[0]}x{view.size[1]}")
        clearly, told = False, {(_text(shown), False)}
        for picture in pictures:
            picture = enlarged(picture, VIEW_SIDE)
            read = self._reader.read(picture, max(picture.shape[:2]) if suspected else VIEW_SIDE, MAX_VIEW_LINES)
            self._note(read.skipped, found)
            times = frame[1] / picture.shape[1], frame[0] / picture.shape[0]
            new = [line for line in _new(read.lines, shown) if not _misread(line, times, shown)]
            alone, texts = _text(new) if _letters(new) >= NEW_LETTERS else None, list[tuple[str, bool]]()
            if alone is not None:
                # alone, and with what the picture shows too: an instruction may be legible in part
                much = _letters(new) >= _MUCH * _letters(read.lines)
                texts = [(alone, True), (_text(read.lines), much)]
                clearly = clearly or min(line.score for line in new) >= _SURE
            elif suspected:
                # noise and low ratios leave half of a payload legible in the picture
                carried = _carried(read.lines, picture.shape, view)
                lines, concealed = [line for line in carried if not (legible and _misread(line, times, shown))], True
                if _letters(lines) < NEW_LETTERS:
                    lines, concealed = _better(read.lines, shown), view.shares is None and view.score > 0
                texts = [(_text(lines), concealed)] if _letters(lines) >= NEW_LETTERS else []
                if vanishing:
                    texts += [(text, concealed) for text in [_text(_whole(read.lines, shown))] if text]
            for text, concealed in texts:
                if (text, concealed) not in told:
                    told.add((text, concealed))
                    score, seen = _NEW if concealed else 0.0, legible
                    if text == alone:
                        # what is read so well that it named the view is no ground on which all else is unseen
                        seen = False if suspected and not legible else None
                    found.add(SCALING, text, evidence, score=score, concealed=concealed, legible=seen)
        return clearly

    def _read_frame(
        self, frames: Sequence[Frame], index: int, shown: Sequence[Line], evidence: Evidence, found: _Found
    ) -> None:
        """A frame block by block, and alone what the first frame does not say; what passes by is concealed.

        A line that looks as it does in the first frame is no news, however it reads.
        """
        rgb = frames[index].rgb
        read = written(self._reader, rgb)
        self._note(read.skipped, found)
        known = [fitted(frames[at].rgb, rgb) for at in _like(index, len(frames))]
        before, others = known[0], [item for item in known if item is not None]
        told = {_text(shown)}
        for part in (*read.readings, *read.faint, self._added(rgb, others, read.lines)):
            fresh = [line for line in part if before is None or not still(line.box, rgb, before)]
            new = _new(fresh, shown)
            passing = [line for line in new if passes(line, frames, index)]
            other = [line for line in fresh if not _among(line, shown)]
            for unlike, lines, concealed in ((passing, passing, True), (new, new, False), (other, part, False)):
                text = _text(lines)
                if _letters(unlike) >= NEW_LETTERS and text not in told:
                    told.add(text)
                    found.add(VISIBLE, text, evidence, concealed=concealed)

    def _added(self, rgb: RGB, known: Sequence[RGB], read: Sequence[Line]) -> tuple[Line, ...]:
        """Clear lines of what a frame has over other frames, where some stand on more than calm ground there."""
        change = added(rgb, known)
        if change is None:
            return ()
        well = [line.box for line in read if line.score >= _SURE and all(calm(line.box, other) for other in known)]
        if not uncovered(bands.lines(change), well):
            return ()
        alone = self._reader.read(np.asarray(cv2.cvtColor(change, cv2.COLOR_GRAY2RGB), dtype=np.uint8), SIDE)
        return tuple(line for line in alone.lines if line.score >= _CLEAR)

    def _read_stored(self, rgb: RGB, shown: Sequence[Line], where: str, found: _Found) -> None:
        """What only a program reads that takes no heed of the orientation: a viewer shows those letters mirrored.

        Letters that are merely turned are read anyway, and everybody sees them.
        """
        read = written(self._reader, rgb)
        self._note(read.skipped, found)
        for part in (*read.readings, *read.faint):
            if _letters(new := _new(part, shown)) >= NEW_LETTERS:
                found.add(CONCEALED, _text(new), Evidence(where=where, view="stored"), score=_HIDDEN, concealed=True)

    def _read_hidden(self, rgb: RGB, shown: Sequence[Line], evidence: Evidence, found: _Found) -> None:
        """What a plane says and the picture does not: crumbs of shown letters stand in low bits too."""
        read = self._reader.read(rgb, SIDE)
        self._note(read.skipped, found)
        clear = [line for line in read.lines if line.score >= _CLEAR]
        if _letters(new := _new(clear, shown)) >= NEW_LETTERS:
            # alone, and with what the picture shows too
            texts = dict.fromkeys((_text(new), _text(clear)), not _crumbs(new))
            # crumbs of shown letters say nothing, but may seem to, or be strewn around words: these count by themselves
            words = [line for line in new if not _crumbs([line])]
            if _letters(words) >= NEW_LETTERS:
                texts[_text(words)] = True
            for text, concealed in texts.items():
                found.add(CONCEALED, text, evidence, score=_HIDDEN, concealed=concealed)
        elif _letters(_better(clear, shown)) >= NEW_LETTERS:
            # the picture shows it over something else
            found.add(CONCEALED, _text(clear), evidence)
        for code in codes(rgb):
            found.add(CODE, code.text, evidence, score=_CODED, concealed=True)

    def _note(self, skipped: int, found: _Found) -> None:
        if skipped:
            found.skipped.append(Skip(NAME, "more lines of text than are read of one picture"))

    def _others(self, picture: DecodedPicture, found: _Found) -> Iterator[Frame]:
        """Frames after the first that differ from those read before them."""
        read = [_thumb(picture.frames[0].rgb)]
        for frame in picture.frames[1:]:
            small = _thumb(frame.rgb)
            if any(float(np.abs(small - other).max()) < _SAME_FRAME for other in read):
                continue
            if len(read) > MAX_FRAMES:
                found.skipped.append(Skip(NAME, f"only {MAX_FRAMES} frames that differ were read"))
                return
            read.append(small)
            yield frame
        found.inspected.append(f"frames={len(read)}")


def _one_side(view: scaling.View, other: scaling.View) -> bool:
    """Whether a side is about the same: such views show the same again, less clearly."""
    return any(abs(view.size[axis] - other.size[axis]) <= _NEAR for axis in (0, 1))


def _like(index: int, count: int) -> list[int]:
    """Frames that one may be like: the first, and those beside it."""
    return list(dict.fromkeys(at for at in (0, index - 1, index + 1) if at < count))


def _thumb(rgb: RGB) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(96, 96) grey: fine enough that a line of text changes it."""
    small = cv2.resize(rgb, (96, 96), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def _text(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _around(lines: Sequence[Line]) -> tuple[int, int, int, int]:
    """x, y, width, height of what holds all lines."""
    corners = np.concatenate([cv2.boxPoints((line.box.centre, line.box.size, line.box.angle)) for line in lines])
    (left, top), (right, bottom) = corners.clip(0).min(axis=0), corners.max(axis=0)
    return round(float(left)), round(float(top)), round(float(right - left)), round(float(bottom - top))


def _new(lines: Sequence[Line], shown: Sequence[Line]) -> list[Line]:
    """Clear lines of a view that the picture does not show: most of their letter pairs stand nowhere in it."""
    known = _pairs(_text(shown))
    clear = [line for line in lines if line.score >= _CLEAR]
    return [line for line in clear if len((pairs := _pairs(line.text)) & known) < _ALIKE * max(1, len(pairs))]


def _better(lines: Sequence[Line], shown: Sequence[Line]) -> list[Line]:
    """Clear lines that the picture does not show just so."""
    return [line for line in lines if line.score >= _CLEAR and not _among(line, shown)]


def _block(lines: Sequence[Line]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of lines and those next to them: short ones are of the same text."""
    left, top, wide, high = _around(lines)
    room = max(line.box.level[1] for line in lines)
    return left - room, top - room, left + wide + room, top + high + room


def _inside(place: tuple[float, float], block: tuple[float, float, float, float]) -> bool:
    return block[0] <= place[0] <= block[2] and block[1] <= place[1] <= block[3]


def _marked(block: tuple[float, float, float, float], shape: tuple[int, ...]) -> scaling.Map:
    """Shares of a view, as of `scaling.View`, of which all is in a block of a picture of this shape."""
    shares = np.zeros((48, 48), np.float32)
    left, top, right, bottom = (at * 48 / shape[1 - axis % 2] for axis, at in enumerate(block))
    shares[max(0, int(top)) : math.ceil(bottom), max(0, int(left)) : math.ceil(right)] = 1.0
    return shares


def _crumbs(lines: Sequence[Line]) -> bool:
    """Whether lines are a letter or two each, as where edges of shown letters reach into a plane."""
    return _letters(lines) < _CRUMBS * len(lines)


def _misread(line: Line, times: tuple[float, float], shown: Sequence[Line]) -> bool:
    """Whether a line of a view is one that the picture shows well in its place, with other slips.

    `times` is how much larger the picture is, across and down.
    """
    centre = line.box.centre[0] * times[0], line.box.centre[1] * times[1]
    said = _letters_of(line.text)
    for other in shown:
        if other.score >= _SURE and _inside(centre, _block([other])):
            alike = SequenceMatcher(None, said, _letters_of(other.text), autojunk=False).get_matching_blocks()
            if sum(part.size for part in alike if part.size > 1) >= _ALIKE * len(said):
                return True
    return False


def _whole(lines: Sequence[Line], shown: Sequence[Line]) -> list[Line]:
    """All clear lines of a view in which noise vanishes, if it says a little more than the picture does."""
    clear = [line for line in lines if line.score >= _CLEAR]
    return clear if _letters(_better(lines, shown)) >= _LITTLE else []


def _carried(lines: Sequence[Line], shape: tuple[int, ...], view: scaling.View) -> list[Line]:
    """Clear lines that stand where only the pixels that the view reads say something, in a picture of the view."""
    if view.shares is None:
        return []
    return [line for line in lines if line.score >= _CLEAR and _share(line, shape, view.shares) >= _PAYLOAD]


def _share(line: Line, shape: tuple[int, ...], shares: scaling.Map) -> float:
    """The share along a line, in its clearest row of cells."""
    ends = []
    for centre, extent, side, cells in zip(
        line.box.centre, line.box.level, shape[1::-1], shares.shape[::-1], strict=True
    ):
        first, last = ((centre + way * extent / 2) / side * cells for way in (-1, 1))
        ends.append(slice(min(cells - 1, max(0, int(first))), min(cells, max(1, math.ceil(last)))))
    return float(shares[ends[1], ends[0]].mean(axis=1).max())


def _among(line: Line, shown: Sequence[Line]) -> bool:
    letters = _letters_of(line.text)
    return any(letters in _letters_of(other.text) for other in shown)


def _letters(lines: Sequence[Line]) -> int:
    return sum(map(str.isalpha, _text(lines)))


def _letters_of(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _pairs(text: str) -> set[str]:
    letters = _letters_of(text)
    return {letters[at : at + 3] for at in range(len(letters) - 2)}


def _best(signals: Sequence[Signal]) -> list[Signal]:
    best: dict[str, Signal] = {}
    for item in signals:
        if item.name not in best or item.score > best[item.name].score:
            best[item.name] = item
    return list(best.values())


def _subject(frame: Frame) -> Subject:
    height, width = frame.rgb.shape[:2]
    picture = DecodedPicture(Picture(b""), "jpeg", width, height, (frame,))
    return Subject(Stage.INPUT, GenerationRequest(), picture=picture)
