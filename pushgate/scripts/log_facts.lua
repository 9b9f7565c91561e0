-- log_facts: included by the scripts of those that follow the log.
-- Says how many entries the log was ever given and holds now, the id of the first it holds (""
-- when none) and the last id it gave. The place of an entry is how many were added up to it, and the
-- first one's is added - length + 1: the log is cut at its beginning only.
-- include last_id
local function log_facts(log_key)
    local facts = { last = last_id(log_key), first = "" }
    local info = redis.call("XINFO", "STREAM", log_key)
    for i = 1, #info, 2 do
        if info[i] == "entries-added" then
            facts.added = info[i + 1]
        elseif info[i] == "length" then
            facts.length = info[i + 1]
        elseif info[i] == "first-entry" and info[i + 1] then
            facts.first = info[i + 1][1]
        end
    end
    return facts
end
