-- renew: hold a lease longer.
-- KEYS: lease                 ARGV: holder, milliseconds
-- Returns 1, or 0 when the lease is no longer the holder's.
-- include holds_lease
if not holds_lease(KEYS[1], ARGV[1]) then
    return 0
end
return redis.call("PEXPIRE", KEYS[1], ARGV[2])
