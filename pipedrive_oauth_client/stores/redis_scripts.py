"""What is done in Redis at one stroke, in Lua.

Not with redis-py's own lock: it does not tell who has it, nor the version of what is stored.

Members of the sorted sets have one score, so that Redis sorts them byte by byte: one set by name,
one by expiry and name. A list can then be read on from where it was left, however much has changed.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RELEASE", "REMOVE", "TAKE", "WRITE"]

# What somebody has put in by hand may lack a version, and is a token all the same.
_STORED: Final = """
local stored = redis.call('HMGET', KEYS[1], 'token', 'version', 'due')
local version = stored[1] and (stored[2] or '')
"""

WRITE: Final = (
    _STORED
    + """
local expected, new = ARGV[5], ARGV[2]
if version ~= new then
  if expected == 'nothing' and version then return 0 end
  if expected == 'version' and version ~= ARGV[6] then return 0 end
end
if stored[3] then redis.call('ZREM', KEYS[3], stored[3]) end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', new, 'due', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[3])
return 1
"""
)
"""Keys: token, names, expiries. Arguments: text, version, expiry and name, name, what is expected
(`anything`, `nothing`, `version`), and which version.

It begins with what takes no room: Redis lets a script that has begun to write go on without memory,
and the token that replaces a worthless one is not lost."""

REMOVE: Final = """
local due = redis.call('HGET', KEYS[1], 'due')
if due then redis.call('ZREM', KEYS[3], due) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1
"""
"""Keys: token, names, expiries. Argument: name."""

TAKE: Final = (
    """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then return {holder, false} end
"""
    + _STORED
    + """
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return {false, version}
"""
)
"""Keys: token, lock. Arguments: owner, the stale one or nothing, milliseconds. Returns the holder,
if that is somebody else, and the version of what is stored."""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
"""Key: lock. Argument: owner."""
