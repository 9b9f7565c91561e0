-- retry: count one more attempt at a job that its holder is about to work on again.
-- KEYS: jobs, lease, attempts, claimed, ledger
-- ARGV: holder, partition, entry id
-- Returns the attempts, or 0 when the job was finished before. Error: LEASE.
-- include refuse
-- include attempts
if not holds_lease(KEYS[2], ARGV[1]) then
    return refuse(KEYS[2], KEYS[5])
end
local partition, entry_id = ARGV[2], ARGV[3]
if #redis.call("XRANGE", KEYS[1], entry_id, entry_id) == 0 then
    return 0
end
local last_claimed = redis.call("HGET", KEYS[4], partition)
local attempts = attempts_of(KEYS[3], partition, entry_id, last_claimed) + 1
set_attempts(KEYS[3], partition, entry_id, attempts)
return attempts
