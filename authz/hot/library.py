"""The function library: the Lua files of this folder, joined into one source.

Functions live in the store with the data, so they survive a restart and a failover;
loading them is an administrator's act, the engine's own user may only call them.
"""

from importlib.resources import files

NAME = "authz"
SHARED = (
    "prelude.lua", "counters.lua", "windows.lua", "sweep.lua", "quotas.lua", "record.lua",
    "references.lua", "totals.lua", "reviews.lua", "limits.lua",
)  # fmt: skip
# What no other part knows of: each a block of its own, since Lua allows a chunk 200 locals.
BLOCKS = (
    ("authorize.lua",), ("apply.lua",), ("withdraw.lua",), ("settle_review.lua",), ("leases.lua",),
    ("outbox.lua", "control.lua"), ("lists.lua",), ("directory.lua",), ("networks.lua",),
    ("forget_totals.lua",),
)  # fmt: skip

# What the engine's own user may do: call functions, which may only touch our keys, and
# look up a card. No KEYS, CONFIG SET, EVAL, FUNCTION LOAD or FLUSHALL.
ENGINE_ACL = (
    "user engine on nopass ~authz:* -@all +fcall +fcall_ro +ping +info +auth +time +config|get "
    "+hget +hmget +hset +hdel +hlen +hexists +hgetall +hscan +get +set "
    "+zadd +zrem +zcard +zrange +xadd +xlen +xrange +xrevrange +scan"
)


def source() -> str:
    """The library as `FUNCTION LOAD` takes it."""
    shared = _joined(SHARED)
    return "\n".join((shared, *(f"do\n{_joined(parts)}\nend" for parts in BLOCKS)))


def _joined(parts: tuple[str, ...]) -> str:
    here = files("authz.hot")
    return "\n".join((here / part).read_text(encoding="utf-8") for part in parts)
