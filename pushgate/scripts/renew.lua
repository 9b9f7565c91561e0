-- renew: hold leases longer, all that a process has in one go: one that is busy cannot afford an
-- answer for each.
-- KEYS: the leases            ARGV: milliseconds, then the holder of each
-- Returns for each 1, or 0 when it is no longer the holder's.
-- include holds_lease
local renewed = {}
for i, lease in ipairs(KEYS) do
    if holds_lease(lease, ARGV[1 + i]) then
        renewed[i] = redis.call("PEXPIRE", lease, ARGV[1])
    else
        renewed[i] = 0
    end
end
return renewed
