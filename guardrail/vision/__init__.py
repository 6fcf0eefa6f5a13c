"""Pictures -> signals.

`decode` makes bounded frames of bytes nobody trusts; `pyramid` reduces them once for everybody; `nudity`, `faces` and
`fingerprint` are the detectors. Every frame is looked at, and what lies beneath transparency.
"""
