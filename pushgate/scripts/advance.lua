-- advance: one turn of a follower of the log: its position, its books and its dead letters move
-- together. A turn is booked once, so that it may be repeated when no answer came.
-- KEYS: lease, publishers, publisher, dead, again, ledger
-- ARGV: holder, name, turn, cursor, place or "", what failed last or "", why it stops or "",
--       1 when what was untold has been told, most dead letters kept,
--       number of columns, then name and change of each,
--       number of letters that were sent again, then the entry id of each,
--       then for each dead letter: cursor, channels, frame, attempts, reason
-- Returns 1, or 0 when the turn was booked before. Errors: LEASE, TURN <the last one booked>.
-- include refuse
if not holds_lease(KEYS[1], ARGV[1]) then
    return refuse(KEYS[1], KEYS[6])
end
local turn = redis.call("HGET", KEYS[3], "turn") or "0"
if turn == ARGV[3] then
    return 0
end
if tonumber(turn) ~= ARGV[3] - 1 then
    return redis.error_reply("TURN " .. turn)
end
-- A key that holds no stream fails here, before anything is written: what failed behind that would
-- be booked without its letters.
redis.call("XLEN", KEYS[4])
redis.call("XLEN", KEYS[5])
redis.call("HSET", KEYS[2], ARGV[2], ARGV[4])
redis.call("HSET", KEYS[3], "turn", ARGV[3], "place", ARGV[5], "error", ARGV[6])
if ARGV[7] ~= "" then
    redis.call("HSET", KEYS[3], "stopped", ARGV[7])
end
if ARGV[8] == "1" then
    redis.call("HDEL", KEYS[3], "untold")
end
local next_argument = 11
for _ = 1, tonumber(ARGV[10]) do
    redis.call("HINCRBY", KEYS[3], ARGV[next_argument], ARGV[next_argument + 1])
    next_argument = next_argument + 2
end
local letters = tonumber(ARGV[next_argument])
for i = 1, letters do
    redis.call("XDEL", KEYS[5], ARGV[next_argument + i])
end
for i = next_argument + letters + 1, #ARGV, 5 do
    redis.call("XADD", KEYS[4], "*", "cursor", ARGV[i],
        "channels", ARGV[i + 1], "frame", ARGV[i + 2], "attempts", ARGV[i + 3],
        "reason", ARGV[i + 4])
end
local trimmed = redis.call("XTRIM", KEYS[4], "MAXLEN", "~", ARGV[9])
if trimmed > 0 then
    redis.call("HINCRBY", KEYS[3], "trimmed", trimmed)
end
return 1
