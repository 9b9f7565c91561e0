-- read_books: the books, and what they are compared with, as of one moment.
-- KEYS: ledger, relay, epoch, log, dead, the jobs of each partition, then for each publisher in turn
--       its books, its dead letters, its letters to be sent again
-- ARGV: how many partitions
-- Returns {ledger, relay, epoch or "", {entries the log was ever given, last id, first id or ""},
-- dead letters kept, {jobs of each partition}, {books, letters kept, letters again of each publisher
-- in turn}}. What is of another type, and not to be counted, is "".
-- A log that is not there was given nothing; asking does not begin one.
local function found(...)
    local answer = redis.pcall(...)
    return type(answer) == "table" and answer.err and "" or answer
end
local log = { 0, "0-0", "" }
if redis.call("EXISTS", KEYS[4]) == 1 then
    log = found("XINFO", "STREAM", KEYS[4])
    if log ~= "" then
        local facts = {}
        for i = 1, #log, 2 do
            facts[log[i]] = log[i + 1]
        end
        local first = facts["first-entry"]
        log = { facts["entries-added"], facts["last-generated-id"], first and first[1] or "" }
    end
end
local jobs, publishers = {}, {}
local last = 5 + tonumber(ARGV[1])
for i = 6, last do
    jobs[i - 5] = found("XLEN", KEYS[i])
end
for i = last + 1, #KEYS, 3 do
    publishers[#publishers + 1] = found("HGETALL", KEYS[i])
    publishers[#publishers + 1] = found("XLEN", KEYS[i + 1])
    publishers[#publishers + 1] = found("XLEN", KEYS[i + 2])
end
return {
    redis.call("HGETALL", KEYS[1]), redis.call("HGETALL", KEYS[2]), found("GET", KEYS[3]) or "",
    log, found("XLEN", KEYS[5]), jobs, publishers,
}
