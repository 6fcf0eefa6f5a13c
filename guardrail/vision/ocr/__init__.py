"""Reading text in pictures with the PP-OCRv4 networks: `boxes` finds lines, `lines` reads them, `reader` does both."""
