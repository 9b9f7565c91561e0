-- retry: count one more attempt at a job that its holder is about to work on again.
-- KEYS: lease, attempts       ARGV: holder, partition, entry id
-- Returns the attempts. Error: LEASE.
-- include holds_lease
if not holds_lease(KEYS[1], ARGV[1]) then
    return redis.error_reply("LEASE " .. KEYS[1])
end
return redis.call("HINCRBY", KEYS[2], ARGV[2] .. ":" .. ARGV[3], 1)
