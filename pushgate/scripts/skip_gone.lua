-- skip_gone: Redis was emptied, or set back behind rows that their outbox has purged since: they are
-- never relayed again, and the books have them as gone.
-- KEYS: lease, relay, ledger
-- ARGV: holder, source, mark expected, how many rows the outbox ever had up to that mark
-- Returns how many are gone. Errors: LEASE, MARK <the mark found>.
-- include refuse
if not holds_lease(KEYS[1], ARGV[1]) then
    return refuse(KEYS[1], KEYS[3])
end
local mark = redis.call("HGET", KEYS[2], ARGV[2]) or ""
if mark ~= ARGV[3] then
    return redis.error_reply("MARK " .. mark)
end
local relayed = redis.call("HGET", KEYS[3], "relayed:" .. ARGV[2]) or 0
local gone = math.max(0, ARGV[4] - relayed)
redis.call("HSET", KEYS[3], "gone:" .. ARGV[2], gone)
return gone
