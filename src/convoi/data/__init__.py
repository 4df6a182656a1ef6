"""Readers of data: named data sets, image folders, NumPy archives, IDX files and series."""

from __future__ import annotations

from convoi.data.dataset import Dataset, DatasetSplits
from convoi.data.idx import read_idx
from convoi.data.images import ImageFiles, read_images
from convoi.data.named import load_dataset
from convoi.data.npz import read_npz
from convoi.data.opening import open_source
from convoi.data.series import SeriesDataset
from convoi.data.series_csv import read_series_csv
from convoi.data.sources import ArraySource, SampleSource, Subset, as_sample_source
from convoi.data.splitting import train_validation_split
from convoi.data.ts import read_ts
from convoi.data.ts_writer import write_ts

__all__ = [
    "ArraySource",
    "Dataset",
    "DatasetSplits",
    "ImageFiles",
    "SampleSource",
    "SeriesDataset",
    "Subset",
    "as_sample_source",
    "load_dataset",
    "open_source",
    "read_idx",
    "read_images",
    "read_npz",
    "read_series_csv",
    "read_ts",
    "train_validation_split",
    "write_ts",
]
