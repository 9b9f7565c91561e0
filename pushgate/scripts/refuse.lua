-- refuse: included by every script that refuses to write for who lost the lease.
-- The refusal is counted for operators: somebody slept past the end of its lease and woke.
-- include holds_lease
local function refuse(lease_key, ledger_key)
    -- A Redis whose memory is full does not count; the answer is the same.
    redis.pcall("HINCRBY", ledger_key, "refused", 1)
    return redis.error_reply("LEASE " .. lease_key)
end
