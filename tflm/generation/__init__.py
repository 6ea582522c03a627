"""Decoding: one loop, three strategies, constraints on what may be said."""

from tflm.generation.beam import LENGTH_PENALTIES, Beam
from tflm.generation.constraints import Limits
from tflm.generation.loop import generate
from tflm.generation.protocol import Decode, Generated, Strategy
from tflm.generation.sampling import Greedy, Sample

__all__ = [
    "LENGTH_PENALTIES",
    "Beam",
    "Decode",
    "Generated",
    "Greedy",
    "Limits",
    "Sample",
    "Strategy",
    "generate",
]
