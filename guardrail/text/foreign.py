"""Whether text in another language instructs the machine: a linear model over hashed n-grams of letters."""

from __future__ import annotations

import numpy as np
import regex

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError
from guardrail.sharing import Shared
from guardrail.text.language import tongues
from guardrail.text.ngrams import SIZE, ngrams

FOREIGN = "text-injection-ngrams"
WINDOW, STRIDE = 1_200, 900
"""Characters of a window, and from one to the next."""
MAX_WINDOWS = 32
_LEAST_LETTERS = 8
_EVEN_ALONE = -0.2
_EVEN, _OF_MEANING, _MOST = -0.7, 0.5, 4.0
"""Even point of both together, and how much the sentence encoder's own logit weighs, up to which size."""
_KNOWN = regex.compile(r"[\p{Latin}\p{Cyrillic}\p{Arabic}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}]")
"""Letters of the scripts that the sentence encoder was taught."""
_SHARE = 0.5
_SHARED: Shared[ModelProvider, ForeignInstructions] = Shared()


class ForeignInstructions:
    """Reads letters, not meaning: so it also reads languages that the sentence encoder does not know.

    Raises:
        ModelMissingError, ModelIntegrityError: the weights are missing or have another shape.
    """

    def __init__(self, models: ModelProvider) -> None:
        try:
            with np.load(models.file(FOREIGN), allow_pickle=False) as arrays:
                self._weights = arrays["weights"].astype(np.float32)
                self._bias = float(arrays["bias"])
        except (KeyError, ValueError, OSError, TypeError) as error:
            raise ModelIntegrityError(f"model {FOREIGN!r} has other arrays than expected") from error
        if self._weights.shape != (SIZE,):
            raise ModelIntegrityError(f"model {FOREIGN!r} has other shapes than expected")

    @classmethod
    def shared(cls, models: ModelProvider) -> ForeignInstructions:
        """One for all detectors that use the same models."""
        return _SHARED.of(models, lambda: cls(models))

    def logit(self, text: str, meaning: float) -> float:
        """Logit that a text instructs; 0 is the even point.

        Scripts that the encoder does not know are judged without it.

        Args:
            text: the part of a prompt that is not English, cased.
            meaning: what the injection head of the sentence encoder says of it, 0 its even point.

        Raises:
            DetectionError: a number is not finite.
        """
        found = self._letters(text)
        if len(_KNOWN.findall(text)) >= _SHARE * sum(map(str.isalpha, text)):
            found += _OF_MEANING * min(_MOST, max(-_MOST, meaning)) - _EVEN
        else:
            found -= _EVEN_ALONE
        if not np.isfinite(found):
            raise DetectionError(f"model {FOREIGN!r} gave a number that is not finite")
        return found

    def concealed(self, text: str) -> float:
        """Probability that a text which was hidden in a prompt instructs, by what of it is not English."""
        other = tongues(text).other
        if sum(map(str.isalpha, other)) < _LEAST_LETTERS:
            return 0.0
        return float(1.0 / (1.0 + np.exp(_EVEN_ALONE - self._letters(other))))

    def _letters(self, text: str) -> float:
        """The highest of the windows."""
        starts = range(0, max(1, len(text) - (WINDOW - STRIDE)), STRIDE)[:MAX_WINDOWS]
        found = (ngrams(text[start : start + WINDOW]) for start in starts)
        return max(float(self._weights[places] @ values) for places, values in found) + self._bias
