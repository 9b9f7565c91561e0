-- finish: jobs done, in order: their frames into the log and the histories, the jobs gone, the
-- ledger moved. A job that is no longer there was finished before: nothing is published for it.
-- KEYS: jobs, lease, attempts, log, ledger, then the channels of each frame in turn
-- ARGV: holder, partition, history length, history seconds, log length, then for each job
--       entry id, outcome (a column of the ledger), number of frames,
--       and for each frame: number of channels, channels joined by a space, frame
-- Returns for each job 1, or 0 when it was finished before. Error: LEASE.
-- include holds_lease
-- include append_frame
if not holds_lease(KEYS[2], ARGV[1]) then
    return redis.error_reply("LEASE " .. KEYS[2])
end
local limits = {
    history_length = tonumber(ARGV[3]), history_seconds = ARGV[4], log_length = ARGV[5],
}
local results = {}
local next_key, next_argument = 6, 6
while next_argument <= #ARGV do
    local entry_id, outcome = ARGV[next_argument], ARGV[next_argument + 1]
    local frames = tonumber(ARGV[next_argument + 2])
    next_argument = next_argument + 3
    local there = redis.call("XDEL", KEYS[1], entry_id) == 1
    for _ = 1, frames do
        local channel_keys = {}
        for _ = 1, tonumber(ARGV[next_argument]) do
            channel_keys[#channel_keys + 1] = KEYS[next_key]
            next_key = next_key + 1
        end
        if there then
            append_frame(limits, KEYS[4], channel_keys, ARGV[next_argument + 1],
                ARGV[next_argument + 2])
        end
        next_argument = next_argument + 3
    end
    if there then
        redis.call("HDEL", KEYS[3], ARGV[2] .. ":" .. entry_id)
        redis.call("HINCRBY", KEYS[5], outcome, 1)
        redis.call("HINCRBY", KEYS[5], "queued", -1)
    end
    results[#results + 1] = there and 1 or 0
end
return results
