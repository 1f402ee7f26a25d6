"""Backbone architectures: the encoding, what follows from it, and what it costs."""

from detnas.architecture.blocks import FAMILIES, Convolution, Family
from detnas.architecture.encoding import (
    GROUP_WIDTH,
    WIDEST_GROUP,
    EncodingError,
    encode,
    encode_stages,
    parse,
)
from detnas.architecture.model import Architecture, Block, Place, PlacedBlock, ResidualGroup

__all__ = [
    "FAMILIES",
    "GROUP_WIDTH",
    "WIDEST_GROUP",
    "Architecture",
    "Block",
    "Convolution",
    "EncodingError",
    "Family",
    "Place",
    "PlacedBlock",
    "ResidualGroup",
    "encode",
    "encode_stages",
    "parse",
]
