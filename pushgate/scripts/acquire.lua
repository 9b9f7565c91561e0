-- acquire: take a lease that nobody holds, with a token above all given out before.
-- KEYS: lease, fence          ARGV: name, owner, milliseconds
-- Returns the token, or 0 when somebody holds it. A lease that would last for longer than the one
-- asked for was given before Redis' clock was put back: from now on it lasts as long as that.
-- include holds_lease
local held = redis.call("GET", KEYS[1])
if held and held:match("^%d+@(%x*):") == life() then
    if redis.call("PTTL", KEYS[1]) > tonumber(ARGV[3]) then
        redis.call("PEXPIRE", KEYS[1], ARGV[3])
    end
    return 0
end
local token = redis.call("HINCRBY", KEYS[2], ARGV[1], 1)
redis.call("SET", KEYS[1], lease_of(token .. ":" .. ARGV[2]), "PX", ARGV[3])
return token
