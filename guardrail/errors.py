"""Every error this package raises.

::

    GuardrailError
    ├── ConfigurationError          a setting, an installation or a list is unusable
    │   ├── RuntimeMissingError     no onnxruntime, or two of them
    │   ├── PolicyError             a policy file does not load (file, line, nearest right name)
    │   └── DetectorError           a detector is not usable as registered
    ├── ModelError                  weights
    │   ├── ModelMissingError       not pulled yet
    │   ├── ModelIntegrityError     sha256 differs from the manifest
    │   └── ModelSourceError        no source of the manifest could deliver
    ├── InputError                  what a caller sent cannot be judged
    │   ├── PromptError             not text, too long, or not encodable
    │   ├── PictureError            a picture is refused before or while decoding
    │   └── ProtocolError           an HTTP request does not follow the wire format
    ├── DetectionError              a detector failed, or returned what it must not
    ├── DeadlineError               a stage ran out of time
    ├── BlockedError                raised by `Guard.protect` and friends: the verdict is not a release
    ├── ReleaseError                what is about to leave is not what was judged
    ├── RecordError                 decisions, people or fingerprints cannot be stored or read
    └── UpstreamError               the generator failed, or answered what cannot be judged

Every error carries `advice`: what the reader can do about it. Messages never hold prompt text or pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.verdict import Verdict


class GuardrailError(Exception):
    """Base of every error here.

    Args:
        message: what went wrong, one sentence, without content of prompts or pictures.
        advice: what to do; falls back to the class's own `advice`.
    """

    code: str = "guardrail_error"
    advice: str = "See the message; if it does not help, open an issue with it."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice

    def diagnostics(self) -> str:
        """Message and advice on two lines, for a terminal or a log."""
        return f"{self.message}\n  what to do: {self.advice}"


class ConfigurationError(GuardrailError):
    code = "configuration"
    advice = "Correct the named setting and start again."


class RuntimeMissingError(ConfigurationError):
    code = "runtime_missing"
    advice = "Install exactly one runtime: pip install 'guardrail[cpu]' or pip install 'guardrail[gpu]'."


class PolicyError(ConfigurationError):
    """A policy does not load.

    Args:
        message: what is wrong.
        file: path of the policy file, or None for text given in memory.
        line: 1-based line of the fault, or None.
        nearest: the right name closest to the wrong one, or None.
    """

    code = "policy"
    advice = "Run `guardrail policy lint FILE` after the change."

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        nearest: str | None = None,
        advice: str | None = None,
    ) -> None:
        where = f"{file or '<policy>'}:{line}: " if line else (f"{file}: " if file else "")
        hint = f" (did you mean {nearest!r}?)" if nearest else ""
        super().__init__(f"{where}{message}{hint}", advice=advice)
        self.file = file
        self.line = line
        self.nearest = nearest


class DetectorError(ConfigurationError):
    code = "detector"
    advice = "Run guardrail.testing.check_detector on it; it names the rule that is broken."


class ModelError(GuardrailError):
    code = "model"
    advice = "Run `guardrail models verify` to see the state of every model."


class ModelMissingError(ModelError):
    code = "model_missing"
    advice = "Run `guardrail models pull`."


class ModelIntegrityError(ModelError):
    code = "model_integrity"
    advice = "Delete the named file and run `guardrail models pull`; if it happens again, the source was changed."


class ModelSourceError(ModelError):
    code = "model_source"
    advice = "Check the network or package index, or set GUARDRAIL_MODELS_MIRROR to a folder that holds the files."


class InputError(GuardrailError):
    code = "input"
    advice = "Send input within the documented limits."


class PromptError(InputError):
    code = "prompt"
    advice = "Send the prompt as Unicode text of at most 32,000 characters."


class PictureError(InputError):
    """A picture is refused. `reason` is a stable short word, such as "too_many_pixels"."""

    code = "picture"
    advice = "Send one PNG, JPEG, WebP, GIF or AVIF picture within the documented limits."

    def __init__(self, message: str, *, reason: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.reason = reason


class ProtocolError(InputError):
    """An HTTP request is refused before anything is judged.

    Args:
        message: what is wrong, without content.
        status: HTTP status to answer with.
        code: stable short word, such as "unknown_image_field".
        param: name of a documented field, or None; never a name the caller made up.
    """

    code = "invalid_request"
    advice = "See docs/SIDECAR.md for the routes, fields and limits."

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or type(self).code
        self.param = param


class DetectionError(GuardrailError):
    code = "detection"
    advice = "The verdict was closed. Look at the detector's own error in the log; run `guardrail models verify`."


class DeadlineError(GuardrailError):
    code = "deadline"
    advice = "The verdict was closed. Raise the stage's deadline in the settings or lower the load."


class BlockedError(GuardrailError):
    """The guard did not release. `verdicts` says why, one per judged subject."""

    code = "blocked"
    advice = "Look at the verdicts' reasons."

    def __init__(self, message: str, verdicts: Sequence[Verdict]) -> None:
        super().__init__(message)
        self.verdicts = tuple(verdicts)


class ReleaseError(GuardrailError):
    code = "release"
    advice = "Nothing was released. Report it: the verdict and the bytes do not belong together."


class RecordError(GuardrailError):
    code = "record"
    advice = "Check that the data folder exists, is writable and has free space."


class UpstreamError(GuardrailError):
    """The generator failed. `status` is the HTTP status to answer with; `retry` whether a retry can help."""

    code = "upstream"
    advice = "Look at the generator; the guard released nothing."

    def __init__(self, message: str, *, status: int = 502, retry: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retry = retry
