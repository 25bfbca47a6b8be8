"""Encoders: inputs in, arrays out, each input once."""

from factcheck.encoders.cache import EncodingCache
from factcheck.encoders.encoders import Encoders, PictureEncodings
from factcheck.encoders.image import ImageEncoder
from factcheck.encoders.text import TextEncoder

__all__ = ["Encoders", "EncodingCache", "ImageEncoder", "PictureEncodings", "TextEncoder"]
