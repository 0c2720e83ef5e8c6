"""The errors of the vision package.

    VisionError
    ├── UnreadableImageError      bytes that cannot be read as one greyscale radiograph; `code` says how
    └── ModelVerificationError    a model folder does not match its card: hash, golden output or a field

A film that can be read but not assessed is not an error: the result carries a `rejection`. Messages name no value of a
header and no path.
"""

from __future__ import annotations


class VisionError(Exception):
    """Root of everything the vision package raises on purpose."""


class UnreadableImageError(VisionError):
    """Bytes that cannot be read as one greyscale radiograph.

    code  stable and machine-readable, one of `vision.read.CODES`; the message is for people
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ModelVerificationError(VisionError):
    """A model folder does not match its card; the model must not be served."""
