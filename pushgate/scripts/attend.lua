-- attend: a formatter process says that it lives.
-- KEYS: workers               ARGV: owner, milliseconds after which silence means gone
-- Returns its place among those that live, by name and from 0, and how many live.
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call("ZADD", KEYS[1], now, ARGV[1])
-- Who was seen later than now was seen before Redis' clock was put back.
for _, owner in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "(" .. now, "+inf")) do
    redis.call("ZADD", KEYS[1], now, owner)
end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. (now - tonumber(ARGV[2])))
local owners = redis.call("ZRANGE", KEYS[1], 0, -1)
local rank = 0
for _, owner in ipairs(owners) do
    if owner < ARGV[1] then
        rank = rank + 1
    end
end
return { rank, #owners }
