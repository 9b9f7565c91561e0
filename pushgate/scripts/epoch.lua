-- epoch: where the log is now, with an epoch given to it when it has none.
-- KEYS: epoch, log            ARGV: candidate, 8 hex digits
-- Returns {epoch, last id, how many entries the log was ever given}.
-- include log_facts
redis.call("SET", KEYS[1], ARGV[1], "NX")
local facts = log_facts(KEYS[2])
return { redis.call("GET", KEYS[1]), facts.last, facts.added }
