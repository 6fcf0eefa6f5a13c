"""The HTTP face: an ASGI app in front of a generator that speaks the generator's own protocol."""

from guardrail.sidecar.app import create_app

__all__ = ["create_app"]
