"""numba kernels: arrays in, arrays out; no units, no files, no errors of their own."""
