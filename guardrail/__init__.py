"""The guard in front of image generators: judges the prompt, the uploads and every picture that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.errors import BlockedError, GuardrailError, InputError
from guardrail.settings import Settings, load_settings
from guardrail.signals import Evidence, GenerationRequest, Picture, Prompt, Role, Signal
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, Reason, Verdict

if TYPE_CHECKING:
    from guardrail.guard import Guard

__all__ = [
    "Action",
    "BlockedError",
    "Evidence",
    "GenerationRequest",
    "Guard",
    "GuardrailError",
    "InputError",
    "Picture",
    "Prompt",
    "Reason",
    "Role",
    "Settings",
    "Signal",
    "Stage",
    "Verdict",
    "load_settings",
]


def __getattr__(name: str) -> object:
    """Load `Guard`, and with it every room, when it is first asked for: `import guardrail` stays fast."""
    if name == "Guard":
        from guardrail.guard import Guard

        return Guard
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
