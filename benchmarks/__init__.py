"""Speed beside PyTorch's on the same machine in the same run: `python -m benchmarks`."""
