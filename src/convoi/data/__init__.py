"""Readers of data: named data sets, image folders, NumPy archives and IDX files."""

from __future__ import annotations

from convoi.data.dataset import Dataset, DatasetSplits
from convoi.data.idx import read_idx
from convoi.data.images import ImageFiles, read_images
from convoi.data.named import load_dataset
from convoi.data.npz import read_npz
from convoi.data.opening import open_source
from convoi.data.sources import ArraySource, SampleSource, Subset, as_sample_source
from convoi.data.splitting import train_validation_split

__all__ = [
    "ArraySource",
    "Dataset",
    "DatasetSplits",
    "ImageFiles",
    "SampleSource",
    "Subset",
    "as_sample_source",
    "load_dataset",
    "open_source",
    "read_idx",
    "read_images",
    "read_npz",
    "train_validation_split",
]
