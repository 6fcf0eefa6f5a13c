"""What a picture says as it is shown: cheap looks decide which dear ones are worth it.

A glimpse at small size and the bands of strokes tell whether there is text at all. Where there is, lines are found at
middle size, at full size where bands show more of them, and lines that only bands show are read from the picture
enlarged or evened. Where lines stand over others, the darkest and the lightest ink are read alone. Faint letters are
read in what colour does not explain, in what hardly differs from flat ground, and in what was added to a picture that
had been a JPEG.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from math import inf

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden import bands, hints, layers, requantised
from guardrail.vision.hidden.faded import faded
from guardrail.vision.hidden.flat import flat
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line
from guardrail.vision.ocr.reader import MAX_LINES, Reader, in_order

GLIMPSE, SIDE, FADED_SIDE, FINE_SIDE = 352, 512, 640, 1280
"""Sides in pixels that a picture is reduced to: to see whether there is text, to find lines, faint and small lines."""
MAX_BLOCKS = 24
"""Blocks of lines given as texts of their own, those with the most letters; the others are one text together."""
_MOST_BANDS, _MOST_READ, _AT_ONCE = 40, 16, 2
_MANY, _CLEARLY = 4, 250.0
_FINE = 16.0
_LOWEST = 8
"""Height in pixels below which nothing can be read."""
_ENDS, _TIMES, _ROOM, _TINY, _LOOSE = 2.0, 2, 1.5, 8.5, 1.25
_LETTERS, _FEW_BLOCKS = 8, 3
_CORE, _STRETCHES, _LONG, _FEW, _FAINT = 0.4, 8, 4, 0.03, 22
"""Of a line: how far letters reach, in its height; stretches and their length; pixels left out; levels hardly apart."""
_SILENT = 2
"""Pairs of bands that may say nothing before the rest are not looked at."""
_FADED_SEED, _FADED, _FADED_WIDE, _FADED_LEAST, _FADED_FEWEST = 30, 130.0, 7.0, 0.4, 5
"""Of faint lines: strokes and score of a band, of what is read of it first its width in heights, and its letters."""
_NEXT_SEED, _ROWS, _TALLER = 20, 2, 1.3
"""Of lines next to faint ones: strokes, how often to look further; by how much bands of faint letters are too low."""
_MOST_ADDED, _MOST_PLACES, _ADDED_SIDE, _WIDER = 300_000, 6, 768, 0.8
"""Of what was added to a JPEG: pixels and places that are read, the side at which lines are found in them, and by how
much of their height these are widened."""
_FLAT = 200.0
"""Score of a band of letters that hardly differ from flat ground."""
_SURE, _GLUED, _MOST_AGAIN, _MOST_TEXTS = 0.95, 14, 3, 1
"""Score from which a line is sure, letters of a word that is rather several, lines and texts that are read again."""
_ALIKE, _TURNED, _ROW, _OVER, _APART = 1.5, 5.0, 0.3, 3.0, 2.5
"""Of parts of a line: heights and degrees they differ by, and in heights how far they stand off their row, over one
another and apart."""
_WORD = re.compile(r"[^\W_]+")
_WITHIN, _DOUBTFUL, _LESS = 0.7, 0.7, 0.7
_COVERED, _BLOB, _NEXT, _WELL, _MOST_OVER, _PAGE = 0.5, 2.2, 3.0, 0.9, 8, 12


@dataclass(frozen=True, slots=True)
class Written:
    """What was read.

    Attributes:
        lines: all lines, block by block.
        readings: the texts to judge: blocks of lines, and small lines as another cut of them reads.
        faint: the same of lines that hardly anybody sees, of pages full of lines only where they were read anyway.
        skipped: lines that were found and not read.
    """

    lines: tuple[Line, ...] = ()
    readings: tuple[tuple[Line, ...], ...] = ()
    faint: tuple[tuple[Line, ...], ...] = ()
    skipped: int = 0


def written(reader: Reader, rgb: RGB, *, lossless: bool = False) -> Written:
    """Lines of a picture, (height, width, 3); what was added to a JPEG is left only in pixels kept `lossless`.

    Raises:
        DetectionError: a network failed.
    """
    plain = _plain(reader, rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    faint = [tuple(line for line in part if _hardly_seen(grey, line.box)) for part in plain.readings]
    # a faint line may be read well as far as its ground is calm, and go on where it is not
    shown = [line.box for line in plain.lines if not _hardly_seen(grey, line.box)]
    if lossless:
        faint += _read_added(reader, rgb, shown)
    plainly = [line.box for part in faint for line in part if line.score >= _WELL]
    faint += _read_flat(reader, rgb, plainly if lossless else [*plainly, *shown])
    if not plain.skipped and len(plain.lines) <= _PAGE:
        faint += _read_faded(reader, rgb, shown)
    return replace(plain, faint=tuple(part for part in faint if part))


def _hardly_seen(grey: Grey, box: TextBox) -> bool:
    """Whether letters and ground, but for a few pixels, are of about one brightness in most stretches of a line."""
    wide, high = box.level
    left, right = (round(box.centre[0] + side * wide / 2) for side in (-1, 1))
    top, bottom = (round(box.centre[1] + side * _CORE * high) for side in (-1, 1))
    part = grey[max(0, top) : bottom + 1, max(0, left) : right + 1]
    count = max(1, min(_STRETCHES, round(wide / high / _LONG)))
    return float(np.median([_span(stretch) for stretch in np.array_split(part, count, axis=1)])) <= _FAINT


def _span(part: Grey) -> int:
    shares = np.cumsum(cv2.calcHist([np.ascontiguousarray(part)], [0], None, [256], [0, 256])) / max(1, part.size)
    darkest, lightest = np.searchsorted(shares, (_FEW, 1 - _FEW))
    return int(lightest - darkest)


def _plain(reader: Reader, rgb: RGB) -> Written:
    likely = bands.lines(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _MOST_BANDS)
    # bands may be a fence that somebody drew above small letters
    if not likely and not reader.glimpses(rgb, GLIMPSE):
        return Written()
    found, more = reader.find(rgb, SIDE)
    rest = uncovered(likely, found, _BLOB)
    if sum(band.score > _CLEARLY for band in rest) >= _MANY and len(found) > 1 and max(rgb.shape[:2]) > SIDE:
        found, more = reader.find(rgb, FINE_SIDE)
        rest = uncovered(likely, found, _BLOB)
    lines = list(reader.read_boxes(rgb, found[:MAX_LINES], turning=True).lines)
    crowded = len(lines) > _PAGE
    well = [line.box for line in lines if line.score >= _WELL]
    rest = uncovered(likely, [*well, *found[MAX_LINES:]], _BLOB)
    small, others, unread = _read_bands(reader, rgb, rest, crowded=crowded)
    well += [line.box for line in small if line.score >= _WELL]
    over = _read_over(reader, rgb, well) if lines or small else []
    parts = blocks(in_order(once([*small, *lines])))
    lines = [line for part in parts for line in part]
    readings = _texts(parts)
    readings += [] if crowded else _once_more(reader, rgb, readings)
    readings += _said(*others, *over)
    return Written(tuple(lines), tuple(readings), skipped=max(0, len(found) - MAX_LINES) + int(more) + unread)


def _once_more(reader: Reader, rgb: RGB, readings: Sequence[tuple[Line, ...]]) -> list[tuple[Line, ...]]:
    """Texts of which some lines read otherwise once more.

    Those are not sure, their blanks seem to be lost, or they stand on one row as parts of a line do.
    """
    rows = [_rows(part) for part in readings]
    again = {line.box: line for row in rows for line in row if _uncertain(line)}
    longest = sorted(again.values(), key=lambda line: -len(line.text))[:_MOST_AGAIN]
    better = {line.box: line for line in reader.read_again(rgb, longest)}
    texts: list[tuple[Line, ...]] = []
    for part, row in zip(readings, rows, strict=True):
        other = tuple(better.get(line.box, line) for line in row)
        if [line.text for line in other] != [line.text for line in part]:
            texts.append(other)
    return texts[:_MOST_TEXTS]


def _rows(part: Sequence[Line]) -> list[Line]:
    """Lines with those of one row, next to each other or over one another, as one that is not sure."""
    found: list[Line] = []
    for line in part:
        if found and _goes_on(found[-1].box, line.box):
            found[-1] = Line(f"{found[-1].text} {line.text}", 0.0, _both(found[-1].box, line.box))
        else:
            found.append(line)
    return found


def _goes_on(first: TextBox, second: TextBox) -> bool:
    low, high = sorted((first.size[1], second.size[1]))
    turn = np.deg2rad(first.angle)
    apart = np.subtract(second.centre, first.centre)
    across = float(apart @ (np.cos(turn), np.sin(turn)))
    down = abs(float(apart @ (-np.sin(turn), np.cos(turn))))
    gap = across - (first.size[0] + second.size[0]) / 2
    alike = high < _ALIKE * low and abs(first.angle - second.angle) < _TURNED
    return alike and across > 0 and down < _ROW * high and -_OVER * low < gap < _APART * low


def _both(first: TextBox, second: TextBox) -> TextBox:
    turn = np.deg2rad(first.angle)
    along = np.array([np.cos(turn), np.sin(turn)])
    start = first.centre - along * first.size[0] / 2
    end = second.centre + along * second.size[0] / 2
    middle = (start + end) / 2
    size = float((end - start) @ along), max(first.size[1], second.size[1])
    return TextBox((float(middle[0]), float(middle[1])), size, first.angle, min(first.score, second.score))


def _uncertain(line: Line) -> bool:
    longest = max((len(word) for word in _WORD.findall(line.text)), default=0)
    return _letters([line]) >= _LETTERS and (line.score < _SURE or longest >= _GLUED)


def _hinted(reader: Reader, rgb: RGB, part: Sequence[TextBox]) -> bool:
    """Whether some bands say anything: the lowest with their ends, the others evened."""
    return hints.says(reader, rgb, [_ended(box) if box.size[1] < _FINE else box for box in part], tallest=_FINE)


def _ended(box: TextBox) -> TextBox:
    return replace(box, size=(box.size[0] + _ENDS * box.size[1], box.size[1]))


def _wider(box: TextBox) -> TextBox:
    return replace(box, size=(box.size[0] + _WIDER * box.size[1], box.size[1]))


def _said(*cuts: Sequence[Line]) -> list[tuple[Line, ...]]:
    """Blocks of lines that were read several times, those with enough letters."""
    return [tuple(part) for cut in cuts for part in blocks(in_order(cut)) if _letters(part) >= _LETTERS]


def _read_faded(reader: Reader, rgb: RGB, shown: Sequence[TextBox]) -> list[tuple[Line, ...]]:
    """Lines in what colour does not explain of brightness, where there are clear ones that are not shown anyway."""
    share, clear = (min(1.0, side / max(rgb.shape[:2])) for side in (FADED_SIDE, FINE_SIDE))
    if min(rgb.shape[:2]) * share < _LOWEST:
        return []
    grey = faded(_reduced(rgb, share))
    here = [_scaled(box, share) for box in shown]
    found = [band for band in bands.lines(grey, _MOST_BANDS, _FADED_SEED) if band.score >= _FADED]
    likely = uncovered(found, here)
    alone = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if not hints.says(reader, alone, likely[:_AT_ONCE], wide=_FADED_WIDE, least=_FADED_LEAST, fewest=_FADED_FEWEST):
        return []
    likely = _with_next(likely[:_MOST_READ], uncovered(bands.lines(grey, _MOST_BANDS, _NEXT_SEED), here))
    if clear > share:
        alone = np.asarray(cv2.cvtColor(faded(_reduced(rgb, clear)), cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    tall = [replace(box, size=(box.size[0], _TALLER * box.size[1])) for box in likely[:_MOST_READ]]
    boxes = [_scaled(box, clear / share) for box in tall]
    # grain is less in a smaller picture, and a network's boxes fit letters better where it sees any
    short = [_scaled(replace(box, size=(box.size[0] - _ENDS * box.size[1], box.size[1])), _LESS) for box in boxes]
    others = uncovered(reader.find(alone, FINE_SIDE)[0], [_scaled(box, clear) for box in shown])[:_MOST_READ]
    cuts = []
    for times, picture, places in ((1.0, alone, boxes), (_LESS, _reduced(alone, _LESS), short), (1.0, alone, others)):
        lines = reader.read_boxes(picture, places, least=_FADED_LEAST).lines
        cuts.append([replace(line, box=_scaled(line.box, 1 / (clear * times))) for line in lines])
    return _said(*cuts)


def _read_flat(reader: Reader, rgb: RGB, known: Sequence[TextBox]) -> list[tuple[Line, ...]]:
    """Lines that hardly differ from flat ground, and are not read so anyway: beneath the lines of a page too.

    What is left of lossy pages around their lines hardly differs from the ground either.
    """
    found = flat(rgb)
    if found is None:
        return []
    alone = np.asarray(cv2.cvtColor(found.faint, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    every = uncovered(bands.lines(found.faint, _MOST_BANDS, _NEXT_SEED), known)
    likely = [box for box in every if box.score >= _FLAT]
    if not hints.says(reader, alone, likely[:_AT_ONCE], wide=_FADED_WIDE, least=_FADED_LEAST):
        return []
    likely = [_ended(box) for box in _with_next(likely[:_MOST_READ], every)[:_MOST_READ]]
    cuts: list[list[Line]] = [[], [], []]
    room = _MOST_ADDED
    for left, top, right, bottom in _around(likely, rgb.shape[1], rgb.shape[0]):
        room -= (right - left) * (bottom - top)
        if room < 0:
            break
        part = np.asarray(cv2.cvtColor(found.filled(left, top, right, bottom), cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        here = [_shifted(box, -left, -top) for box in likely]
        inside = [box for box in here if 0 < box.centre[0] < part.shape[1] and 0 < box.centre[1] < part.shape[0]]
        # bands have all of a line and a network's boxes fit it better: which reads well differs
        read = [
            reader.read_boxes(part, boxes).lines for boxes in (inside, reader.find(part, _ADDED_SIDE)[0][:_MOST_READ])
        ]
        for cut, lines in zip(cuts, (*read, reader.read_again(part, read[0])), strict=True):
            cut += [replace(line, box=_shifted(line.box, left, top)) for line in lines]
    return _said(*cuts)


def _with_next(likely: Sequence[TextBox], more: Sequence[TextBox]) -> list[TextBox]:
    """Lines with those that stand next to them, though less clear: letters over busier ground."""
    found = list(likely)
    for _ in range(_ROWS):
        rest = uncovered(more, found)
        found += [box for box in rest if any(_beside(box, line) and _beside(line, box) for line in found)]
    return found


def _reduced(rgb: RGB, share: float) -> RGB:
    if share >= 1:
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _read_added(reader: Reader, rgb: RGB, shown: Sequence[TextBox]) -> list[tuple[Line, ...]]:
    """Lines in what was added to a picture that had been a JPEG, where they are not shown anyway."""
    added = requantised.added(rgb)
    cuts: list[list[Line]] = []
    room = _MOST_ADDED
    for left, top, right, bottom in added.places()[:_MOST_PLACES] if added else ():
        room -= (right - left) * (bottom - top)
        if not added or room < 0:
            break
        here = [_shifted(box, -left, -top) for box in shown]
        for grey in added.ink(left, top, right, bottom):
            alone = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
            # bands have all of a line and a network's boxes fit it better: which reads well differs
            for boxes in ([_wider(box) for box in reader.find(alone, _ADDED_SIDE)[0]], bands.lines(grey, _MOST_READ)):
                lines = reader.read_boxes(alone, uncovered(boxes, here)[:_MOST_READ]).lines
                cuts.append([replace(line, box=_shifted(line.box, left, top)) for line in lines])
    return _said(*cuts)


def _shifted(box: TextBox, right: float, down: float) -> TextBox:
    return replace(box, centre=(box.centre[0] + right, box.centre[1] + down))


def _scaled(box: TextBox, times: float) -> TextBox:
    return replace(
        box, centre=(box.centre[0] * times, box.centre[1] * times), size=(box.size[0] * times, box.size[1] * times)
    )


def once(read: Sequence[Line]) -> list[Line]:
    """Lines without those that were read twice in one place: the surer ones stay."""
    kept: list[Line] = []
    for line in sorted(read, key=lambda line: -line.score * len(line.text)):
        if not any(_again(line, other) for other in kept):
            kept.append(line)
    return kept


def _again(line: Line, other: Line) -> bool:
    """Whether a line stands where another does, and says much the same or was hardly read."""
    (wide, high), (across, down) = line.box.level, other.box.level
    apart = [abs(line.box.centre[axis] - other.box.centre[axis]) for axis in (0, 1)]
    shared = min(wide, across, (wide + across) / 2 - apart[0])
    if apart[1] > max(high, down) / 2 or shared < _WITHIN * min(wide, across):
        return False
    known = SequenceMatcher(None, line.text, other.text, autojunk=False)
    return line.score < _DOUBTFUL or sum(part.size for part in known.get_matching_blocks()) >= _WITHIN * len(line.text)


def _texts(parts: Sequence[Sequence[Line]]) -> list[tuple[Line, ...]]:
    """What to judge as one text: each block, and all of them where they are few.

    Across the blocks of a poster somebody may read on; labels and columns of a screenshot put together say nothing.
    """
    lines = tuple(line for part in parts for line in part)
    if len(parts) < 2:
        return [lines] if lines else []
    order = sorted(parts, key=lambda part: -_letters(part))
    texts = [tuple(part) for part in order[:MAX_BLOCKS] if _letters(part) >= _LETTERS]
    if rest := [part for part in order[MAX_BLOCKS:] if _letters(part) >= _LETTERS]:
        texts.append(tuple(line for part in rest for line in part))
    return [lines, *texts] if len(parts) <= _FEW_BLOCKS else texts


def _letters(part: Sequence[Line]) -> int:
    return sum(sum(map(str.isalpha, line.text)) for line in part)


def uncovered(likely: Sequence[TextBox], found: Sequence[TextBox], tallest: float = inf) -> list[TextBox]:
    """Bands that no line stands on: they are fainter or smaller than what the network sees.

    A line more than `tallest` times as high as a band is none: a reduced picture shows some small lines as one blob.
    One that is as much lower stands beneath it.
    """
    rest = []
    for band in likely:
        left, right = band.centre[0] - band.size[0] / 2, band.centre[0] + band.size[0] / 2
        shared = 0.0
        for box in found:
            wide, tall = box.level
            half = wide / 2
            if abs(box.centre[1] - band.centre[1]) < tall / 2 and 1 / tallest < tall / band.size[1] < tallest:
                shared += max(0.0, min(right, box.centre[0] + half) - max(left, box.centre[0] - half))
        if shared < _COVERED * band.size[0]:
            rest.append(band)
    return rest


def _read_bands(
    reader: Reader, rgb: RGB, rest: Sequence[TextBox], *, crowded: bool
) -> tuple[list[Line], list[list[Line]], int]:
    """Lines of the bands, how small ones read when their surroundings are enlarged, and how many more there may be.

    Where a picture is `crowded` with lines, bands are mostly those again: what reads badly is not worth more looks, and
    what reads well is not read twice.
    """
    lines: list[Line] = []
    small: list[TextBox] = []
    even: RGB | None = None
    unread, silent = max(0, len(rest) - _MOST_READ), 0
    for start in range(0, min(len(rest), _MOST_READ), _AT_ONCE):
        # what looks like a line and is none seldom comes alone: when the clearest say nothing, the rest will not; but
        # somebody may draw a few fences above a line
        part = rest[start : start + _AT_ONCE]
        if not _hinted(reader, rgb, part):
            silent += 1
            if silent > _SILENT or crowded:
                unread = 0
                break
            continue
        wide = [_ended(box) for box in part]
        more = [*reader.read_boxes(rgb, [box for box in wide if box.size[1] < _FINE]).lines]
        small += [line.box for line in more if not crowded or line.score < _WELL]
        if large := [box for box in part if box.size[1] >= _FINE]:
            even = bands.evened(rgb) if even is None else even
            more += reader.read_boxes(even, large).lines
        lines += more
        unread = unread if more else 0
        if not any(line.score >= (_WELL if crowded else 0.0) for line in more):
            break
    loose = [replace(box, size=(box.size[0], _LOOSE * box.size[1])) for box in small if box.size[1] < _TINY]
    return lines, [_enlarged(reader, rgb, small), list(reader.read_boxes(rgb, loose).lines)], unread


def _enlarged(reader: Reader, rgb: RGB, small: Sequence[TextBox]) -> list[Line]:
    """Small lines once more, found by the network in their surroundings, enlarged: its boxes fit letters better."""
    read: list[Line] = []
    for left, top, right, bottom in _around(small, rgb.shape[1], rgb.shape[0]):
        part = cv2.resize(rgb[top:bottom, left:right], None, fx=_TIMES, fy=_TIMES, interpolation=cv2.INTER_CUBIC)
        found, _ = reader.find(np.asarray(part, dtype=np.uint8), max(part.shape[:2]))
        for line in reader.read_boxes(np.asarray(part, dtype=np.uint8), found[:_MOST_READ]).lines:
            read.append(replace(line, box=_shifted(_scaled(line.box, 1 / _TIMES), left, top)))
    return read


def _around(small: Sequence[TextBox], width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of the neighbourhoods of boxes, those that touch as one."""
    places: list[tuple[int, int, int, int]] = []
    for box in small:
        (x, y), (wide, high) = box.centre, box.size
        left, right = round(x - wide / 2 - high), round(x + wide / 2 + high)
        top, bottom = round(y - _ROOM * high), round(y + _ROOM * high)
        for place in [item for item in places if _touch(item, (left, top, right, bottom))]:
            places.remove(place)
            left, top = min(left, place[0]), min(top, place[1])
            right, bottom = max(right, place[2]), max(bottom, place[3])
        places.append((left, top, right, bottom))
    return [(max(0, left), max(0, top), min(width, right), min(height, bottom)) for left, top, right, bottom in places]


def _touch(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    across = max(first[0], second[0]) <= min(first[2], second[2])
    return across and max(first[1], second[1]) <= min(first[3], second[3])


def _read_over(reader: Reader, rgb: RGB, well: Sequence[TextBox]) -> list[list[Line]]:
    """Lines of each ink that stands over something: neither what was read well nor what the picture shows alike."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    read = []
    for layer in layers.inks(rgb):
        likely = bands.lines(layer, _MOST_BANDS)
        over = [band for band in uncovered(likely, well, _BLOB) if not layers.alike(band, grey, layer)]
        alone = np.asarray(cv2.cvtColor(layer, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        said: list[TextBox] = []
        for start in range(0, min(len(over), _MOST_OVER), _AT_ONCE):
            part = over[start : start + _AT_ONCE]
            if not hints.says(reader, alone, part):
                break
            said += [line.box for line in reader.read_boxes(alone, part).lines]
        if said:
            # bands have all of a line and a network's boxes fit it better: which reads well differs
            for boxes in (reader.find(alone, SIDE)[0], likely):
                beside = [box for box in boxes if any(_beside(box, other) for other in said)]
                read.append(list(reader.read_boxes(alone, beside[:_MOST_READ]).lines))
    return read


def blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that belong together, by size and place, in the order of their first lines: columns, captions, labels."""
    found: list[list[Line]] = []
    for line in lines:
        beside = [block for block in found if any(_together(line.box, other.box) for other in block)]
        joined = [item for block in beside for item in block] + [line]
        found = [block for block in found if block not in beside] + [joined]
    order = {id(line): at for at, line in enumerate(lines)}
    return sorted(
        (sorted(block, key=lambda line: order[id(line)]) for block in found), key=lambda block: order[id(block[0])]
    )


def _beside(box: TextBox, line: TextBox) -> bool:
    """Whether a box of any height stands where a line stands or is among the next ones."""
    wide, high = box.level
    apart = [abs(box.centre[axis] - line.centre[axis]) for axis in (0, 1)]
    return apart[1] < _NEXT * line.size[1] and high < _NEXT * line.size[1] and apart[0] < (wide + line.size[0]) / 2


def _together(first: TextBox, second: TextBox) -> bool:
    low, high = sorted((first.size[1], second.size[1]))
    if high > 1.6 * low or round((first.angle - second.angle) / 90) % 4:
        return False
    turn = np.deg2rad(first.angle)
    apart = np.subtract(second.centre, first.centre)
    across = abs(float(apart @ (np.cos(turn), np.sin(turn)))) - (first.size[0] + second.size[0]) / 2
    down = abs(float(apart @ (-np.sin(turn), np.cos(turn))))
    return (down < 1.7 * high and across < 0) or (down < 0.5 * high and across < 1.5 * high)
