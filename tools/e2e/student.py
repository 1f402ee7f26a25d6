"""Fetch the folder of an exported student from S3, with boto3 and nothing of this project.

python student.py URI FOLDER
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import boto3


def main() -> None:
    """Copy every object below the URI."""
    uri, folder = urlsplit(sys.argv[1]), Path(sys.argv[2])
    prefix = f"{uri.path.strip('/')}/"
    bucket = boto3.resource("s3").Bucket(uri.netloc)
    for found in bucket.objects.filter(Prefix=prefix):
        file = folder / found.key.removeprefix(prefix)
        file.parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(found.key, str(file))


if __name__ == "__main__":
    main()
