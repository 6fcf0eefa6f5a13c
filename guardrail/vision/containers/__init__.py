"""Reading what a picture file says about itself, one module a container, before any pixel is decoded.

Every scanner is bounded, sees hostile bytes as ordinary, raises `PictureError` and nothing else, and hands the pixel
decoder a stream that holds only the parts that make pixels.
"""

from __future__ import annotations
