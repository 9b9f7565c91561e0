-- forward: the relay's rows to their partitions, in order, and its mark to the last of them.
-- The mark moves in the same step as the append, so a row is on the queue exactly when the mark
-- says so, whatever the relay knows of it.
-- KEYS: lease, relay, ledger, then the jobs of each partition there is a row for
-- ARGV: holder, source, mark expected, limit, the rows' marks joined by spaces, for each row one
--       character: the place of its jobs among those, then the event of each row
-- Returns how many rows were appended: fewer than given when a partition is full.
-- Errors: LEASE, MARK <the mark found>.
-- include refuse
if not holds_lease(KEYS[1], ARGV[1]) then
    return refuse(KEYS[1], KEYS[3])
end
local mark = redis.call("HGET", KEYS[2], ARGV[2]) or ""
if mark ~= ARGV[3] then
    return redis.error_reply("MARK " .. mark)
end
local room = {}
for place = 1, #KEYS - 3 do
    room[place] = ARGV[4] - redis.call("XLEN", KEYS[3 + place])
end
local marks, places = ARGV[5], ARGV[6]
local call, byte = redis.call, string.byte
local rows = #ARGV - 6
local appended = 0
for row = 1, rows do
    local place = byte(places, row)
    if room[place] <= 0 then
        break
    end
    room[place] = room[place] - 1
    call("XADD", KEYS[3 + place], "*", "event", ARGV[6 + row])
    appended = row
end
if appended > 0 then
    local mark = appended == rows and marks:match("%S+$")
    if not mark then
        local each = marks:gmatch("%S+")
        for _ = 1, appended do
            mark = each()
        end
    end
    redis.call("HSET", KEYS[2], ARGV[2], mark)
    redis.call("HINCRBY", KEYS[3], "relayed:" .. ARGV[2], appended)
    redis.call("HINCRBY", KEYS[3], "queued", appended)
end
return appended
