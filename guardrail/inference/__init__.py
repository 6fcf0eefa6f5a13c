"""Weights -> sessions: manifests, pull and verify, ONNX sessions."""

from guardrail.inference.manifest import Catalogue, Manifest, load_catalogue
from guardrail.inference.pull import ModelState, Progress, pull, verify
from guardrail.inference.store import ModelStore, OnnxSession

__all__ = [
    "Catalogue",
    "Manifest",
    "ModelState",
    "ModelStore",
    "OnnxSession",
    "Progress",
    "load_catalogue",
    "pull",
    "verify",
]
