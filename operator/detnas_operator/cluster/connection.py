"""The connection to the API server: address, trust, credentials, one request at a time."""


class Connection:
    """A pool of connections to one API server, with credentials that renew themselves."""
