-- What the channels' histories in Redis hold after a cursor, or last.
--
-- Phases: access. One MULTI/EXEC a page, so that what is read and what has been cut off are of one
-- moment: a cut can neither hide behind a read nor make a reset that is not needed. It is shared
-- with other requests (reads.lua), and so are the entries that are read of its replies.

local channels = require("pushgate.channels")
local config = require("pushgate.config")
local cursor = require("pushgate.cursor")
local frames = require("pushgate.sse.frames")
local garbage = require("pushgate.garbage")
local reads = require("pushgate.reads")
local stream_info = require("pushgate.stream_info")

local field = stream_info.field
local is_after = cursor.is_after
local tonumber = tonumber

-- A history's key expires this long after the last append.
local KEEP_SECONDS = 3600
local PAGE = 64
-- More than this in one answer is sent in parts; the client resumes for the next. What a stream
-- begins with stays in its request's memory until it ends.
local MOST_BYTES = 256 * 1024
local MOST_PAGES = 200

local _M = {}

-- Reads {id, {field, value, ...}}. Returns {ms, seq, names, frame, id}, with `deletes` for an entry
-- without a frame, which says that its channels were deleted; nil for anything else.
local function read_entry(raw)
    local fields = type(raw) == "table" and raw[2]
    if type(fields) ~= "table" or fields[1] ~= "channels" or fields[3] ~= "frame" then
        return nil
    end
    local ms, seq = cursor.parse_id(tostring(raw[1]))
    local names = channels.parse_field(tostring(fields[2]))
    local frame = tostring(fields[4])
    local deletes = frame == ""
    if not ms or not names or not (deletes or frames.is_frame(frame)) then
        return nil
    end
    return { id = raw[1], ms = ms, seq = seq, names = names, frame = frame, deletes = deletes }
end

-- The same of an entry that several requests have been given: it is read once.
local function read_shared(raw)
    if type(raw) ~= "table" then
        return nil
    end
    if raw.entry == nil then
        raw.entry = read_entry(raw) or false
    end
    return raw.entry
end

-- Whether it is a frame of the channel.
local function is_of(entry, name)
    if entry.deletes then
        return false
    end
    for i = 1, #entry.names do
        if entry.names[i] == name then
            return true
        end
    end
    return false
end

local function by_position(a, b)
    return is_after(b.ms, b.seq, a.ms, a.seq)
end

-- Puts entries of several channels in the log's order, an entry that names several of them once.
local function merge(entries)
    table.sort(entries, by_position)
    local merged = {}
    for _, entry in ipairs(entries) do
        local last = merged[#merged]
        if not last or is_after(entry.ms, entry.seq, last.ms, last.seq) then
            merged[#merged + 1] = entry
        end
    end
    return merged
end

-- Whether nothing behind `position` can have been cut off the log. `info` is what XINFO STREAM says
-- of it.
function _M.log_holds_all_after(info, position)
    local first = field(info, "first-entry")
    if first then
        local ms, seq = cursor.parse_id(tostring(first[1]))
        if ms and not is_after(ms, seq, position.ms, position.seq) then
            return true
        end
    end
    -- A young log: nothing was cut off it. It was begun with an entry that counts as deleted.
    local ms, seq = cursor.parse_id(tostring(field(info, "max-deleted-entry-id")))
    local removed = (field(info, "entries-added") or 0) - (field(info, "length") or 0)
    return removed == 0 and ms ~= nil and not is_after(ms, seq, position.ms, position.seq)
end

-- Whether an entry that was in the log at `position` must still be there: the log reaches back
-- further, and what was deleted one by one lies before it.
function _M.log_was_not_cut_at(info, position)
    local first = field(info, "first-entry")
    local first_ms, first_seq = cursor.parse_id(tostring(first and first[1]))
    local cut_ms, cut_seq = cursor.parse_id(tostring(field(info, "max-deleted-entry-id")))
    return first_ms ~= nil and cut_ms ~= nil
        and is_after(position.ms, position.seq, first_ms, first_seq)
        and is_after(position.ms, position.seq, cut_ms, cut_seq)
end

-- A cursor older than any history is kept may still be good: when nothing came after it, or when
-- what came first after it is young. Returns true or false; or nil and an error.
local function log_reaches_back(position, oldest_ms)
    local log = config.get().keys.log
    local replies, err = reads.together({
        { "xinfo", "STREAM", log },
        { "xrange", log, "(" .. cursor.entry_id(position), "+", "COUNT", 1 },
    })
    if not replies then
        return nil, err
    end
    local info, after = replies[1], replies[2]
    if info[1] == false then
        return true
    end
    local last_ms, last_seq = cursor.parse_id(tostring(field(info, "last-generated-id")))
    if not last_ms then
        return nil, "XINFO STREAM says no last-generated-id"
    end
    if not is_after(last_ms, last_seq, position.ms, position.seq) then
        return true
    end
    local next_ms = after[1] and cursor.parse_id(tostring(after[1][1]))
    return (_M.log_holds_all_after(info, position) and next_ms and next_ms >= oldest_ms)
        and true or false
end

-- Reads one page more of every channel. `pages` is a list of {name, from, entries, more, bytes}.
-- Those that had no more are read again as well: all channels are read to their ends only when they
-- are so at one moment, for the newest frame of one says nothing of another's a page ago.
-- Returns the reason of a reset, or ""; or nil and an error.
local function read_page(position, pages)
    local keys = config.get().keys
    local commands = { { "get", keys.epoch }, { "time" } }
    for _, page in ipairs(pages) do
        local key = keys:channel(page.name)
        commands[#commands + 1] = { "xrange", key, "(" .. page.from, "+", "COUNT", PAGE }
        commands[#commands + 1] = { "xinfo", "STREAM", key }
    end
    local replies, err = reads.together(commands)
    if not replies then
        return nil, err
    end
    if replies[1] ~= position.epoch then
        if replies[1] and not cursor.is_epoch(replies[1]) then
            return nil, "the key " .. keys.epoch .. " holds no epoch"
        end
        return "epoch"
    end
    local oldest_ms = (tonumber(replies[2][1]) - KEEP_SECONDS) * 1000
    if position.ms < oldest_ms then
        local reaches, why = log_reaches_back(position, oldest_ms)
        if reaches == nil then
            return nil, why
        end
        if not reaches then
            return "history"
        end
    end
    for i, page in ipairs(pages) do
        local raw, info = replies[1 + 2 * i], replies[2 + 2 * i]
        if info[1] == false and not tostring(info[2]):find("no such key", 1, true) then
            -- Whatever it is, it does not say what came after the cursor.
            garbage.pass_over("histories", "the history of " .. page.name)
            return "history"
        end
        if info[1] ~= false then
            local ms, seq = cursor.parse_id(tostring(field(info, "max-deleted-entry-id")))
            local from_ms, from_seq = cursor.parse_id(page.from)
            if not ms then
                return nil, "XINFO STREAM says no max-deleted-entry-id"
            end
            if is_after(ms, seq, from_ms, from_seq) then
                return "history"
            end
            page.more = #raw == PAGE
            for _, raw_entry in ipairs(raw) do
                local entry = read_shared(raw_entry)
                if not entry then
                    garbage.pass_over("histories", "an entry in the history of " .. page.name)
                elseif is_of(entry, page.name) then
                    page.entries[#page.entries + 1] = entry
                    page.bytes = page.bytes + #entry.frame
                end
            end
            if raw[1] then
                page.from = tostring(raw[#raw][1])
            end
        else
            page.more = false
        end
    end
    return ""
end

local function after(names, position)
    local pages = {}
    for i = 1, #names do
        pages[i] = { name = names[i], from = cursor.entry_id(position), entries = {}, more = true,
            bytes = 0 }
    end
    local more, rounds = true, 0
    while more do
        local reset, err = read_page(position, pages)
        if not reset then
            return nil, err
        end
        if reset ~= "" then
            return { entries = {}, reset = reset }
        end
        local bytes = 0
        more = false
        for _, page in ipairs(pages) do
            bytes = bytes + page.bytes
            more = more or page.more
        end
        rounds = rounds + 1
        if bytes > MOST_BYTES or rounds == MOST_PAGES then
            break
        end
    end
    -- What lies behind the end of a channel not read to its end has gaps.
    local all, end_ms, end_seq = {}, math.huge, 0
    for _, page in ipairs(pages) do
        for _, entry in ipairs(page.entries) do
            all[#all + 1] = entry
        end
        if page.more then
            local ms, seq = cursor.parse_id(page.from)
            if is_after(end_ms, end_seq, ms, seq) then
                end_ms, end_seq = ms, seq
            end
        end
    end
    local merged = merge(all)
    while #merged > 0
        and is_after(merged[#merged].ms, merged[#merged].seq, end_ms, end_seq)
    do
        merged[#merged] = nil
    end
    return { entries = merged, more = more }
end

local function backlog(requested, position)
    local keys = config.get().keys
    local commands = {}
    for _, channel in ipairs(requested) do
        commands[#commands + 1] = { "xrevrange", keys:channel(channel.name),
            cursor.entry_id(position), "-", "COUNT", channel.backlog }
    end
    local replies, err = reads.together(commands)
    if not replies then
        return nil, err
    end
    local all = {}
    for i, channel in ipairs(requested) do
        for _, raw in ipairs(replies[i]) do
            local entry = read_shared(raw)
            if entry and is_of(entry, channel.name) then
                all[#all + 1] = entry
            end
        end
    end
    return { entries = merge(all) }
end

-- What Redis answers is data from outside: whatever it is, it fails one request alone.
local function with_care(read, ...)
    local done, result, err = pcall(read, ...)
    if not done then
        return nil, "could not use the reply: " .. tostring(result)
    end
    return result, err
end

-- The frames of `names` after `position`, in the log's order, each once.
-- Returns {entries, more, reset}: `reset` is a reason, `more` says that it was too much for one
-- answer and where the last entry is the cursor for the rest; or nil and an error.
function _M.after(names, position)
    return with_care(after, names, position)
end

-- The last `backlog` frames of each of `requested` ({name, backlog}) up to `position`.
-- Returns {entries}; or nil and an error.
function _M.last(requested, position)
    return with_care(backlog, requested, position)
end

_M.read_entry = read_entry

return _M
