"""proto"""
from __future__ import annotations
import numpy as np
from convoi.codegen.target import current_target
from convoi.kernels.base import kernel_address
from convoi.kernels.minirocket import MiniRocket, TABLES, KERNELS
from convoi.kernels.series_rows import RECORD, block_vectors
from convoi.signal.running import native_kernel, run_tasks

def transform(X, dil, nf, biases, threads=1, first=None, chans=None):
    n, ch, L = X.shape
    target = current_target()
    lanes = target.lanes("float32")
    k = MiniRocket(lanes, ch > 1, target.is_x86)
    X = np.ascontiguousarray(X, np.float32)
    F = len(biases)
    out = np.empty((n, F), np.float32)
    halo = -(-4 * int(dil.max()) // lanes) * lanes
    pitch = -(-(2 * halo + L + 4 * lanes) // lanes) * lanes
    w = np.zeros(RECORD.words, np.int64)
    offs = np.arange(n) * (ch * L); lens = np.full(n, L)
    flags = np.concatenate([np.repeat(((j + np.arange(84)) % 2).astype(np.float32), m) for j, m in enumerate(nf)])
    dil = dil.astype(np.int64); nf = nf.astype(np.int64)
    tabs = [dil, nf, biases, flags]
    if first is not None: tabs += [first, chans]
    w[RECORD.source] = X.ctypes.data; w[RECORD.offsets] = offs.ctypes.data; w[RECORD.lengths] = lens.ctypes.data
    w[RECORD.channels] = ch; w[RECORD.pitch] = pitch; w[RECORD.halo] = halo; w[RECORD.output] = out.ctypes.data
    w[RECORD.features] = F; w[RECORD.count] = len(dil)
    for i, t in enumerate(tabs): w[RECORD.tables + i] = t.ctypes.data
    run_tasks(native_kernel(kernel_address(k, target)), w, n, scratch=pitch * ch * k.planes * 4 + 9*4*lanes*4, threads=threads, target=target)
    return out
