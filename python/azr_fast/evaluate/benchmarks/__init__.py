"""The benchmarks that come along, a file each; others are found by their entry points."""
