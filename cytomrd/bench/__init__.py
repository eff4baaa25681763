"""Speed and memory of the kernels and of the whole pass, beside the peers that are installed."""
