-- revoke: one revocation to the end of the stream, which is trimmed and expires with the tokens.
-- KEYS: revoked               ARGV: user or channel, its name, before (ms), oldest kept (ms),
--                                   milliseconds for which the stream is kept
-- Returns the stream's entry id.
local id = redis.call("XADD", KEYS[1], "MINID", "~", ARGV[4], "*", ARGV[1], ARGV[2],
    "before_ms", ARGV[3])
redis.call("PEXPIRE", KEYS[1], ARGV[5])
return id
