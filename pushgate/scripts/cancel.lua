-- cancel: claims given back as if they had never been made.
-- KEYS: jobs, lease, attempts, claimed, ledger
-- ARGV: holder, partition, then the entry ids
-- Returns how many of the jobs are there still. Error: LEASE.
-- include refuse
-- include attempts
if not holds_lease(KEYS[2], ARGV[1]) then
    return refuse(KEYS[2], KEYS[5])
end
local partition = ARGV[2]
local last_claimed = redis.call("HGET", KEYS[4], partition)
local cancelled = 0
for i = 3, #ARGV do
    local entry_id = ARGV[i]
    if #redis.call("XRANGE", KEYS[1], entry_id, entry_id) == 1 then
        local attempts = attempts_of(KEYS[3], partition, entry_id, last_claimed)
        if attempts > 0 then
            set_attempts(KEYS[3], partition, entry_id, attempts - 1)
        end
        cancelled = cancelled + 1
    end
end
return cancelled
