"""Rows of a configuration that are checked one by one."""

from typing import Any

from authz.checks.settings import NEEDED, CheckConfig
from authz.config_sources import ConfigError
from authz.wire.networks import NETWORKS
from rules.holds import MCC_GROUPS, HoldRule


def hold_rule(at: int, table: dict[str, Any]) -> HoldRule:
    """One row of the hold policy. Raises: ConfigError."""
    where = f"hold[{at}]"
    if "days" not in table:
        raise ConfigError(f"{where}.days: is needed")
    rule = HoldRule(**table)
    for attribute, value, names in (
        ("network", rule.network, NETWORKS),
        ("mcc_group", rule.mcc_group, MCC_GROUPS),
    ):
        if value and value not in names:
            raise ConfigError(f"{where}.{attribute}: unknown; known are {', '.join(names)}")
    return rule


def check_of(at: int, table: dict[str, Any]) -> CheckConfig:
    """One optional check. Raises: ConfigError."""
    for key in NEEDED:
        if key not in table:
            raise ConfigError(f"check[{at}].{key}: is needed")
    return CheckConfig(**table)
