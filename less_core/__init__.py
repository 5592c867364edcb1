"""LESS (Xia et al., ICML 2024, arXiv 2402.04333): gradient-based selection of instruction-tuning data.

Everything in this package is plain Python that runs without Prefect; ``tasks`` and ``flows`` orchestrate it.
"""
