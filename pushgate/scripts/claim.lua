-- claim: the next jobs of a partition, each counted as tried before anybody works on it.
-- KEYS: jobs, lease, attempts ARGV: holder, partition, entry id to read after, how many
-- Returns {id, fields, attempts} of each. Error: LEASE.
-- include holds_lease
if not holds_lease(KEYS[2], ARGV[1]) then
    return redis.error_reply("LEASE " .. KEYS[2])
end
local claimed = {}
for _, entry in ipairs(redis.call("XRANGE", KEYS[1], "(" .. ARGV[3], "+", "COUNT", ARGV[4])) do
    local attempts = redis.call("HINCRBY", KEYS[3], ARGV[2] .. ":" .. entry[1], 1)
    claimed[#claimed + 1] = { entry[1], entry[2], attempts }
end
return claimed
