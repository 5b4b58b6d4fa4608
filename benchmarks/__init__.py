"""What is measured, one module each: `python -m benchmarks.NAME`. docs/measured.md keeps the last figures."""
