-- acquire: take a lease that nobody holds, with a token above all given out before.
-- KEYS: lease, fence          ARGV: name, owner, milliseconds
-- Returns the token, or 0 when somebody holds it.
if redis.call("EXISTS", KEYS[1]) == 1 then
    return 0
end
local token = redis.call("HINCRBY", KEYS[2], ARGV[1], 1)
redis.call("SET", KEYS[1], token .. ":" .. ARGV[2], "PX", ARGV[3])
return token
