"""The function library: the Lua files of this folder, joined into one source.

Functions live in the store with the data, so they survive a restart and a failover;
loading them is an administrator's act, the engine's own user may only call them.
"""

from importlib.resources import files

NAME = "authz"
SHARED = (
    "prelude.lua", "counters.lua", "sweep.lua", "record.lua", "references.lua", "totals.lua",
    "reviews.lua", "authorize.lua", "outbox.lua",
)  # fmt: skip
# What no later part knows of: each a block of its own, since Lua allows a chunk 200 locals.
ALONE = (
    "apply.lua", "withdraw.lua", "control.lua", "lists.lua", "directory.lua", "networks.lua",
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
    here = files("authz.hot")
    shared, alone = (
        [(here / part).read_text(encoding="utf-8") for part in parts] for parts in (SHARED, ALONE)
    )
    return "\n".join((*shared, *(f"do\n{text}\nend" for text in alone)))
