-- attend: a formatter process says that it lives.
-- KEYS: workers               ARGV: owner, milliseconds after which silence means gone
-- Returns how many live.
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call("ZADD", KEYS[1], now, ARGV[1])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. (now - tonumber(ARGV[2])))
return redis.call("ZCARD", KEYS[1])
