-- claim: the next jobs of a partition, each counted as tried before anybody works on it.
-- KEYS: jobs, lease, attempts, claimed, ledger
-- ARGV: holder, partition, entry id to read after, how many
-- Returns of each in turn its entry id, its event, its attempts. Error: LEASE.
-- include refuse
-- include attempts
if not holds_lease(KEYS[2], ARGV[1]) then
    return refuse(KEYS[2], KEYS[5])
end
local partition, after = ARGV[2], ARGV[3]
local entries = redis.call("XRANGE", KEYS[1], "(" .. after, "+", "COUNT", ARGV[4])
if #entries == 0 then
    return entries
end
local last_claimed = redis.call("HGET", KEYS[4], partition)
-- Who goes on where the last claim ended, as nearly all do, finds nothing that was claimed before.
local is_new = not last_claimed or after == last_claimed
local claimed = {}
for i, entry in ipairs(entries) do
    local entry_id, fields = entry[1], entry[2]
    local attempts = 1
    if not is_new then
        is_new = not is_at_or_before(entry_id, last_claimed)
        if not is_new then
            attempts = attempts_of(KEYS[3], partition, entry_id, last_claimed) + 1
            set_attempts(KEYS[3], partition, entry_id, attempts)
        end
    end
    local event = ""
    for j = 1, #fields, 2 do
        if fields[j] == "event" then
            event = fields[j + 1]
        end
    end
    claimed[3 * i - 2], claimed[3 * i - 1], claimed[3 * i] = entry_id, event, attempts
end
if is_new then
    redis.call("HSET", KEYS[4], partition, entries[#entries][1])
end
return claimed
