-- bury: a job given up, kept among the dead letters with the reason.
-- KEYS: jobs, lease, attempts, dead, ledger
-- ARGV: holder, partition, entry id, reason, most dead letters kept
-- Returns 1, or 0 when the job was finished before. Error: LEASE.
-- include holds_lease
if not holds_lease(KEYS[2], ARGV[1]) then
    return redis.error_reply("LEASE " .. KEYS[2])
end
local entry = redis.call("XRANGE", KEYS[1], ARGV[3], ARGV[3])[1]
if not entry then
    return 0
end
local event = ""
for i = 1, #entry[2], 2 do
    if entry[2][i] == "event" then
        event = entry[2][i + 1]
    end
end
local field = ARGV[2] .. ":" .. ARGV[3]
redis.call("XADD", KEYS[4], "MAXLEN", "~", ARGV[5], "*", "partition", ARGV[2], "entry", ARGV[3],
    "attempts", redis.call("HGET", KEYS[3], field) or "0", "reason", ARGV[4], "event", event)
redis.call("XDEL", KEYS[1], ARGV[3])
redis.call("HDEL", KEYS[3], field)
redis.call("HINCRBY", KEYS[5], "dead", 1)
redis.call("HINCRBY", KEYS[5], "queued", -1)
return 1
