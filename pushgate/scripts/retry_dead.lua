-- retry_dead: one dead letter back to the end of the partition it came from.
-- KEYS: dead, ledger, jobs    ARGV: the letter's entry id
-- Returns 1, or 0 when there is no such letter.
local letter = redis.call("XRANGE", KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then
    return 0
end
for i = 1, #letter[2], 2 do
    if letter[2][i] == "event" then
        redis.call("XADD", KEYS[3], "*", "event", letter[2][i + 1])
    end
end
redis.call("XDEL", KEYS[1], ARGV[1])
redis.call("HINCRBY", KEYS[2], "dead", -1)
redis.call("HINCRBY", KEYS[2], "queued", 1)
return 1
