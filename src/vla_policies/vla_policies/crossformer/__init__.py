"""CrossFormer: one transformer for many robots (arXiv 2408.11812)."""
