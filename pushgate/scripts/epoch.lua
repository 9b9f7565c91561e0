-- epoch: where the log is now, with an epoch given to it when it has none.
-- KEYS: epoch, log            ARGV: candidate, 8 hex digits
-- Returns {epoch, last id}.
-- include last_id
redis.call("SET", KEYS[1], ARGV[1], "NX")
return { redis.call("GET", KEYS[1]), last_id(KEYS[2]) }
