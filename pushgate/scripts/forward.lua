-- forward: the relay's rows to their partitions, in order, and its mark to the last of them.
-- The mark moves in the same step as the append, so a row is on the queue exactly when the mark
-- says so, whatever the relay knows of it.
-- KEYS: lease, relay, ledger, jobs of each row in turn
-- ARGV: holder, source, mark expected, limit, then (mark, event) of each row
-- Returns how many rows were appended: fewer than given when a partition is full.
-- Errors: LEASE, MARK <the mark found>.
-- include holds_lease
if not holds_lease(KEYS[1], ARGV[1]) then
    return redis.error_reply("LEASE " .. KEYS[1])
end
local mark = redis.call("HGET", KEYS[2], ARGV[2]) or ""
if mark ~= ARGV[3] then
    return redis.error_reply("MARK " .. mark)
end
local limit = tonumber(ARGV[4])
local appended = 0
for row = 1, #KEYS - 3 do
    local jobs = KEYS[3 + row]
    if redis.call("XLEN", jobs) >= limit then
        break
    end
    redis.call("XADD", jobs, "*", "event", ARGV[4 + 2 * row])
    mark = ARGV[3 + 2 * row]
    appended = row
end
if appended > 0 then
    redis.call("HSET", KEYS[2], ARGV[2], mark)
    redis.call("HINCRBY", KEYS[3], "accepted", appended)
    redis.call("HINCRBY", KEYS[3], "queued", appended)
end
return appended
