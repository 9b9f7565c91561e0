-- release: give a lease back before it runs out.
-- KEYS: lease                 ARGV: holder
-- Returns 1, or 0 when it was no longer the holder's.
-- include holds_lease
if not holds_lease(KEYS[1], ARGV[1]) then
    return 0
end
return redis.call("DEL", KEYS[1])
