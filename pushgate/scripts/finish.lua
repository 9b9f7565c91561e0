-- finish: jobs done, in order: their frames into the log and the histories, the jobs gone, the
-- ledger moved. A job that is no longer there was finished before: nothing is published for it.
-- KEYS: jobs, lease, attempts, log, ledger, then the channels of each frame in turn
-- ARGV: holder, partition, history length, history seconds, log length, then for each job
--       entry id, outcome (a column of the ledger), number of frames, frames (see append_frames)
-- Returns how many jobs were there. Error: LEASE.
-- include refuse
-- include append_frames
if not holds_lease(KEYS[2], ARGV[1]) then
    return refuse(KEYS[2], KEYS[5])
end
check_log(KEYS[4])
local ended, outcomes = {}, {}
local key, argument = 6, 6
while argument <= #ARGV do
    local entry_id, outcome = ARGV[argument], ARGV[argument + 1]
    local is_there = call("XDEL", KEYS[1], entry_id) == 1
    if is_there then
        ended[#ended + 1] = entry_id
        outcomes[outcome] = (outcomes[outcome] or 0) + 1
    end
    key, argument = append_frames(is_there, KEYS[4], ARGV[argument + 2], key, argument + 3)
end
if #ended == 0 then
    return 0
end
settle_log(KEYS[4], ARGV[5], tonumber(ARGV[3]), ARGV[4])
book_entries(KEYS[5], "frames")
-- Only a job claimed more than once has a field there, so most times there is nothing at all.
if redis.call("EXISTS", KEYS[3]) == 1 then
    for _, entry_id in ipairs(ended) do
        redis.call("HDEL", KEYS[3], ARGV[2] .. ":" .. entry_id)
    end
end
for outcome, count in pairs(outcomes) do
    redis.call("HINCRBY", KEYS[5], outcome, count)
end
redis.call("HINCRBY", KEYS[5], "queued", -#ended)
return #ended
