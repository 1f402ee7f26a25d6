"""Forms that names and addresses in a manifest have."""

LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label."""

NAMESPACE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1123 label."""

STORE_URI = r"^(s3://[^/]+|file:///)"
"""Beginning of a store's address."""
