"""The DetNASSearch manifest, its defaults and its checks."""
