"""Data: encoders and decoders, data sets and their readers, and what training reads from."""

from .dataset import Dataset
from .decoders import ClassDecoder, Decoder, ScalarDecoder
from .encoders import ClassEncoder, Encoder, FunctionEncoder
from .files import read_idx
from .images import ImageEncoder
from .readers import (
    FASHION_CLASSES,
    fashion_mini,
    fashion_mnist,
    read_idx_folder,
    read_image_folder,
    read_npz,
)
from .sources import ArraySource, Source, StreamSource, check_finite, make_source

__all__ = [
    "FASHION_CLASSES",
    "ArraySource",
    "ClassDecoder",
    "ClassEncoder",
    "Dataset",
    "Decoder",
    "Encoder",
    "FunctionEncoder",
    "ImageEncoder",
    "ScalarDecoder",
    "Source",
    "StreamSource",
    "check_finite",
    "fashion_mini",
    "fashion_mnist",
    "make_source",
    "read_idx",
    "read_idx_folder",
    "read_image_folder",
    "read_npz",
]
