"""Jobs of a search on Kubernetes: their manifests, and what their objects say of them."""
