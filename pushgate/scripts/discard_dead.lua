-- discard_dead: dead letters deleted for good. The books keep them as dead, and know that they are
-- not kept.
-- KEYS: dead, then the hash with their books: ledger, or publisher     ARGV: the letters' entry ids
-- Returns how many were there.
local discarded = 0
for _, entry_id in ipairs(ARGV) do
    discarded = discarded + redis.call("XDEL", KEYS[1], entry_id)
end
if discarded > 0 then
    redis.call("HINCRBY", KEYS[2], "discarded", discarded)
end
return discarded
