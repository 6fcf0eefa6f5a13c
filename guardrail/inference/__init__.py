"""Weights -> sessions: manifests, pull and verify, ONNX sessions."""

from guardrail.inference.manifest import Catalogue, Manifest, known, load_catalogue, own_folder
from guardrail.inference.pull import ModelState, Progress, pull, verify
from guardrail.inference.store import ModelStore, OnnxSession

__all__ = [
    "Catalogue",
    "Manifest",
    "ModelState",
    "ModelStore",
    "OnnxSession",
    "Progress",
    "known",
    "load_catalogue",
    "own_folder",
    "pull",
    "verify",
]
