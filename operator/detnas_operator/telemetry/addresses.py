"""The addresses that the operator's servers listen on: all of the machine, IPv4 and IPv6."""

import socket

ALL_IPV4 = "0.0.0.0"  # noqa: S104 (probes and Prometheus come from other machines)
ALL = "::"


def all_addresses() -> str:
    """Return the address that represents all: IPv6 ones, too, unless the machine has none.

    A socket bound to ``::`` serves IPv4 as well, unless the kernel is configured otherwise
    (``net.ipv6.bindv6only``).
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((ALL, 0))
            serves_both = not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return ALL_IPV4
    return ALL if serves_both else ALL_IPV4
