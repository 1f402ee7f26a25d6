"""obstore's stores, which reach the same server as a boto3 client, with the same credentials."""

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import NoCredentialsError
from botocore.session import Session
from botocore.utils import get_environ_proxies
from obstore.store import S3Store

from detnas.store.s3_client import Client, Patience
from detnas.version import own_version

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential

_CREDENTIALS_KEPT = timedelta(minutes=6)
"""obstore asks for credentials anew 5 minutes before they expire: after a minute, therefore. boto3
renews its own at least 10 minutes before they do."""

_HOST_LABEL = re.compile(r"[a-z0-9-]{3,63}")
_PATH_PART = re.compile(r"[A-Za-z0-9._-]{3,255}")
_DIRECTORY_BUCKET = "--x-s3"


class ObjectStores:
    """Makes obstore's store for each bucket.

    Args:
        session: whose credentials are used.
        client: of boto3, whose endpoint, region and addressing style are used.
        patience: of each request.
    """

    def __init__(self, session: Session, client: Client, patience: Patience) -> None:
        self._session = session
        self._endpoint: str = client.meta.endpoint_url
        self._region: str = client.meta.region_name
        self._by_path = client.meta.config.s3["addressing_style"] == "path"
        self._patience = patience
        self._made: dict[str, S3Store | None] = {}

    def of(self, bucket: str) -> S3Store | None:
        """Return the store for a bucket, or None if only boto3 can reach it as configured."""
        if bucket not in self._made:
            self._made[bucket] = self._make(bucket) if self._reaches(bucket) else None
        return self._made[bucket]

    def _reaches(self, bucket: str) -> bool:
        # An ARN, a bucket that requires sessions, or one whose name no certificate covers.
        name = _PATH_PART if self._by_path else _HOST_LABEL
        if not name.fullmatch(bucket) or bucket.endswith(_DIRECTORY_BUCKET):
            return False
        # obstore takes its trusted certificates from this variable alone.
        bundle = self._session.get_config_variable("ca_bundle")
        return not bundle or os.environ.get("SSL_CERT_FILE") == bundle

    def _make(self, bucket: str) -> S3Store:
        address = urlsplit(self._endpoint)
        if not self._by_path:
            address = address._replace(netloc=f"{bucket}.{address.netloc}")
        endpoint = address.geturl()
        options: ClientConfig = {
            "allow_http": address.scheme == "http",
            "connect_timeout": timedelta(seconds=self._patience.connect),
            "timeout": timedelta(seconds=self._patience.connect + self._patience.read),
            "user_agent": f"detnas/{own_version()}",
            **_proxy(endpoint),
        }
        return S3Store(
            bucket,
            endpoint=endpoint,
            region=self._region,
            virtual_hosted_style_request=not self._by_path,
            credential_provider=self.credentials,
            client_options=options,
            retry_config={"max_retries": 0},  # boto3 makes the further attempts
        )

    def credentials(self) -> "S3Credential":
        """Return the session's keys, renewed if they must be; raise if there are none."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        keys = credentials.get_frozen_credentials()
        if keys.access_key is None or keys.secret_key is None:
            raise NoCredentialsError
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_KEPT,
        }


def _proxy(endpoint: str) -> "ClientConfig":
    """Use the proxy that boto3 uses: obstore itself reads ``NO_PROXY`` by other rules."""
    address = urlsplit(endpoint)
    proxy = get_environ_proxies(endpoint).get(address.scheme)
    if proxy:
        return {"proxy_url": proxy if "://" in proxy else f"http://{proxy}"}
    return {"proxy_url": "http://proxy.invalid", "proxy_excludes": address.hostname or ""}
