"""Checkpoints -> verified ONNX models. The only part of the package that imports torch, and only when it is called."""

from guardrail.inference.export.classifier import export_classifier
from guardrail.inference.export.clip import export_clip
from guardrail.inference.export.parity import Parity
from guardrail.inference.export.pictures import export_pictures
from guardrail.inference.export.recipe import Recipe, load_recipes

__all__ = ["Parity", "Recipe", "export_classifier", "export_clip", "export_pictures", "load_recipes"]
