"""Encoders: inputs in, arrays out, each input once."""

from factcheck.encoders.cache import EncodingCache
from factcheck.encoders.encoders import Encoders, PictureEncodings
from factcheck.encoders.image import ImageEncoder
from factcheck.encoders.relation import EMBEDDED as EMBEDDED_RELATION
from factcheck.encoders.text import TextEncoder

__all__ = [
    "EMBEDDED_RELATION",
    "Encoders",
    "EncodingCache",
    "ImageEncoder",
    "PictureEncodings",
    "TextEncoder",
]
