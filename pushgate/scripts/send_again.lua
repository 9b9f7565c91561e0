-- send_again: one dead letter of a publisher back to the publisher, which sends it beside the log.
-- KEYS: publisher, dead, again ARGV: the letter's entry id
-- Returns 1, or 0 when there is no such letter.
local letter = redis.call("XRANGE", KEYS[2], ARGV[1], ARGV[1])[1]
if not letter then
    return 0
end
redis.call("XADD", KEYS[3], "*", unpack(letter[2]))
redis.call("XDEL", KEYS[2], ARGV[1])
redis.call("HINCRBY", KEYS[1], "dead", -1)
redis.call("HINCRBY", KEYS[1], "again", 1)
return 1
