-- put: one job to the end of its partition, once for each event id within the window.
-- KEYS: jobs, ledger, put     ARGV: event, limit, window seconds
-- Returns 1, 0 when the event is there already, or the error FULL.
if redis.call("EXISTS", KEYS[3]) == 1 then
    return 0
end
if redis.call("XLEN", KEYS[1]) >= tonumber(ARGV[2]) then
    return redis.error_reply("FULL " .. KEYS[1])
end
redis.call("SET", KEYS[3], "1", "EX", ARGV[3])
redis.call("XADD", KEYS[1], "*", "event", ARGV[1])
redis.call("HINCRBY", KEYS[2], "put", 1)
redis.call("HINCRBY", KEYS[2], "queued", 1)
return 1
