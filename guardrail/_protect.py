"""`Guard.protect`: how a generate function's arguments and results are judged."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from guardrail.errors import BlockedError, ConfigurationError, InputError
from guardrail.signals import GenerationRequest, Picture, Prompt, Role
from guardrail.verdict import Action, Verdict

if TYPE_CHECKING:
    from guardrail.guard import Guard

PICTURE_PARAMETERS = (
    "image",
    "images",
    "init_image",
    "mask",
    "mask_image",
    "control_image",
    "ip_adapter_image",
    "reference_image",
    "example_image",
    "source_image",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which parameters of a generate function hold what."""

    prompt: str = "prompt"
    negative: str = "negative_prompt"
    pictures: tuple[str, ...] = PICTURE_PARAMETERS


def judged_call(
    guard: Guard, shape: Shape, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call `function` between the checks."""
    request = _request(shape, function, args, kwargs)
    prior = [_released(guard.check_prompt_sync(request))]
    if request.uploads:
        prior.append(_released(guard.check_inputs_sync(request, prior)))
        if prior[-1].action is Action.TRANSFORM:
            request = guard.transformed(request)
            args, kwargs = _carrying(request, shape, function, args, kwargs)
    result = function(*args, **kwargs)
    pictures, released = _outputs(result), []
    verdicts = guard.check_outputs_sync(request, pictures, prior)
    for data, verdict in zip(pictures, verdicts, strict=True):
        changed = (data, verdict)
        if verdict.action is Action.TRANSFORM:
            changed = guard.transformed_output_sync(request, data, verdict, prior)
        _released(changed[1])
        released.append(changed[0])
    return _carried_back(result, verdicts, released)


async def judged_call_async(
    guard: Guard,
    shape: Shape,
    function: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """`judged_call` for an async function."""
    request = _request(shape, function, args, kwargs)
    prior = [_released(await guard.check_prompt(request))]
    if request.uploads:
        prior.append(_released(await guard.check_inputs(request, prior)))
        if prior[-1].action is Action.TRANSFORM:
            request = await asyncio.to_thread(guard.transformed, request)
            args, kwargs = _carrying(request, shape, function, args, kwargs)
    result = await function(*args, **kwargs)
    pictures, released = _outputs(result), []
    verdicts = await guard.check_outputs(request, pictures, prior)
    for data, verdict in zip(pictures, verdicts, strict=True):
        changed = (data, verdict)
        if verdict.action is Action.TRANSFORM:
            changed = await guard.transformed_output(request, data, verdict, prior)
        _released(changed[1])
        released.append(changed[0])
    return _carried_back(result, verdicts, released)


def _carried_back(result: Any, verdicts: Sequence[Verdict], released: Sequence[bytes]) -> Any:
    """What the function returned, or, where pictures were transformed, the same with the released ones in it."""
    if not any(verdict.action is Action.TRANSFORM for verdict in verdicts):
        return result
    return _replaced(result, iter(released))


def _released(verdict: Verdict) -> Verdict:
    if not verdict.released:
        raise BlockedError(f"{verdict.stage.value} not released by rule {verdict.rule}", [verdict])
    return verdict


def _request(
    shape: Shape, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> GenerationRequest:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        found.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    if shape.prompt not in found:
        raise ConfigurationError(
            f"{function.__name__} has no parameter {shape.prompt!r}",
            advice='Name the one that holds the prompt: @guard.protect(prompt="name").',
        )
    texts, negatives = _texts(found[shape.prompt]), _texts(found.get(shape.negative))
    prompts = [
        Prompt(text, negatives[position] if position < len(negatives) else "") for position, text in enumerate(texts)
    ]
    uploads = [
        Picture(encoded, Role.MASK if "mask" in name else Role.IMAGE, name)
        for name in shape.pictures
        for encoded in _outputs(found.get(name))
    ]
    return GenerationRequest(tuple(prompts), tuple(uploads), "edit" if uploads else "generate")


def _carrying(
    request: GenerationRequest,
    shape: Shape,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call's arguments with the pictures of `request` in place of its own, in the form they were passed in."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    others = iter(item.data for item in request.uploads)
    further = next((name for name, item in bound.signature.parameters.items() if item.kind is item.VAR_KEYWORD), "")
    for name in shape.pictures:
        if name in bound.arguments:
            bound.arguments[name] = _replaced(bound.arguments[name], others)
        elif name in bound.arguments.get(further, {}):
            bound.arguments[further][name] = _replaced(bound.arguments[further][name], others)
    return bound.args, bound.kwargs


def _replaced(value: Any, others: Iterator[bytes]) -> Any:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return next(others)
    if isinstance(value, Image.Image):
        picture = Image.open(io.BytesIO(next(others)))
        picture.load()
        return picture if picture.mode == value.mode else picture.convert(value.mode)
    return [_replaced(item, others) for item in value]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    texts = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in texts):
        raise InputError("a prompt must be text or a list of texts")
    return texts


def _outputs(value: Any) -> list[bytes]:
    """Encoded bytes of every picture in `value`.

    Raises:
        InputError: it is not bytes, a Pillow image, or a sequence of these, so it cannot be judged.
    """
    if value is None:
        return []
    if isinstance(value, bytes | bytearray | memoryview):
        return [bytes(value)]
    if isinstance(value, Image.Image):
        return [_encoded(value)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [encoded for item in value for encoded in _outputs(item)]
    raise InputError(
        f"a {type(value).__name__} cannot be judged",
        advice="Return (or pass) encoded bytes, a Pillow image, or a list of either.",
    )


def _encoded(image: Image.Image) -> bytes:
    """Every frame of a Pillow image without loss."""
    frames = getattr(image, "n_frames", 1)
    data = io.BytesIO()
    image.save(data, "PNG", save_all=frames > 1, compress_level=1)
    return data.getvalue()
