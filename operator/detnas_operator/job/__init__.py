"""Kubernetes Jobs of a search: their names, their policy and their manifests."""
