-- begin_following: where a publisher stands in the log; a new one stands at its end.
-- KEYS: lease, publishers, publisher, epoch, log, ledger
-- ARGV: holder, name, candidate for an epoch, 8 hex digits
-- Returns {cursor, place or "", turn, untold or ""}. Error: LEASE.
-- include refuse
-- include log_facts
if not holds_lease(KEYS[1], ARGV[1]) then
    return refuse(KEYS[1], KEYS[6])
end
local cursor = redis.call("HGET", KEYS[2], ARGV[2])
if not cursor then
    redis.call("SET", KEYS[4], ARGV[3], "NX")
    local facts = log_facts(KEYS[5])
    cursor = redis.call("GET", KEYS[4]) .. "." .. facts.last
    redis.call("HSET", KEYS[2], ARGV[2], cursor)
    redis.call("HSET", KEYS[3], "place", facts.added, "untold", "new")
end
local standing = redis.call("HMGET", KEYS[3], "place", "turn", "untold")
return { cursor, standing[1] or "", standing[2] or "0", standing[3] or "" }
