"""The end-to-end run: from images and `helm install` to an exported student, on a real node."""
