"""What may stand in a configuration as a host."""

import re
from ipaddress import ip_address

from authz.config_sources import ConfigError

HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
ANY_HOST = {"0.0.0.0", "::"}  # these take the port on every address


def check_host(host: str, where: str) -> None:
    """An address, or a name that may have one: what looks like an address must be one."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        try:
            ip_address(host)
        except ValueError:
            raise ConfigError(f"{where}: not an address") from None
    elif not HOST_NAME.fullmatch(host):
        raise ConfigError(f"{where}: neither an address nor the name of a host")
