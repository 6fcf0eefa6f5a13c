"""The guard in front of image generators."""
