-- The frames handed to the engine within the last seconds, by channel, and how many there were.
-- This is what closes the gap between history and live; subscribe.lua says how.
--
-- Shared dict pushgate_recent, bounded, least recently used goes first:
--   c<channel>        counts the frames of the channel
--   f<channel> <n>    the n-th one, as it goes out
-- Both expire when nobody asks for them any more: names that strangers made up cost no lasting
-- memory. A counter that is gone begins again at `sequence` (in pushgate_state), which counts all
-- frames of all channels and so is at least as high as any counter ever was: append_since() then
-- finds entries missing and says so, and never takes a frame for another.
--
-- Phases: all.

local cursor = require("pushgate.cursor")

local match = string.match
local recent = ngx.shared.pushgate_recent
local state = ngx.shared.pushgate_state

local KEEP_SECONDS = 30
-- Longer than a subscriber takes to come in.
local COUNT_SECONDS = 120
-- More than this between two looks is not copied frame by frame: history does it better.
local MOST = 1000

local _M = { MOST = MOST }

-- Something was thrown out before its time.
local function evicted(forcible)
    if forcible then
        state:incr("recent:evictions", 1, 0)
    end
end

-- How often that happened.
function _M.evictions()
    return state:get("recent:evictions") or 0
end

-- A counter's flags say where `sequence` was when the counter began, so that one which has begun
-- again can be told from the one there was.
local function stamp(sequence)
    return sequence % 0x7fffffff + 1
end

-- Keeps one frame of one channel. Called by the tail before the engine gets the frame.
--
-- First the frame, then the number: whoever sees a number finds its frame, or knows that it has
-- left for its age. Only two tails at once (one was stopped and does not know it yet) may draw each
-- other's numbers.
function _M.note(channel, block)
    local sequence = state:incr("sequence", 1, 0)
    local key = "c" .. channel
    local last = recent:get(key)
    if not last then
        local _, _, forcible = recent:add(key, sequence - 1, COUNT_SECONDS, stamp(sequence))
        evicted(forcible)
        last = recent:get(key) or sequence - 1
    end
    local kept, _, forcible = recent:add("f" .. channel .. " " .. last + 1, block, KEEP_SECONDS)
    evicted(forcible)
    local number = recent:incr(key, 1)
    if number then
        recent:expire(key, COUNT_SECONDS)
        if not kept or number ~= last + 1 then
            _, _, forcible = recent:set("f" .. channel .. " " .. number, block, KEEP_SECONDS)
            evicted(forcible)
        end
    end
end

-- Where the channel's frame of that number is in the log: {ms, seq}; nil when it has gone.
function _M.position_of(channel, number)
    local block = recent:get("f" .. channel .. " " .. number)
    return block and cursor.parse(match(block, "^id: ([^\n]+)\n"))
end

-- Whether the channel's frame at a position has been noted. A new tail asks, which announces again
-- what the last one announced.
function _M.has(channel, at)
    local number = recent:get("c" .. channel)
    for _ = 1, number and MOST or 0 do
        local noted = _M.position_of(channel, number)
        if not noted or noted.epoch ~= at.epoch
            or cursor.is_after(at.ms, at.seq, noted.ms, noted.seq)
        then
            return false
        end
        if noted.ms == at.ms and noted.seq == at.seq then
            return true
        end
        number = number - 1
    end
    return false
end

-- How many frames all channels have had.
function _M.total()
    return state:get("sequence") or 0
end

-- How many frames the channel has had; and a number that is another one when the counter has begun
-- again.
function _M.count(channel)
    local key = "c" .. channel
    local number, flags = recent:get(key)
    if number then
        recent:expire(key, COUNT_SECONDS)
        return number, flags
    end
    number = state:get("sequence") or 0
    flags = stamp(number)
    local added, _, forcible = recent:add(key, number, COUNT_SECONDS, flags)
    evicted(forcible)
    if added then
        return number, flags
    end
    return recent:get(key)
end

-- The number of the channel's newest frame, and the frame of a number, or nil.
function _M.newest(channel)
    return recent:get("c" .. channel)
end

function _M.frame(channel, number)
    return recent:get("f" .. channel .. " " .. number)
end

-- Appends the frames after number `from` to `list`. Returns the number of the last one; or nil when
-- some of them are not there any more.
function _M.append_since(channel, from, list)
    local to = recent:get("c" .. channel)
    if to == from then
        return to
    end
    if not to or to < from or to - from > MOST then
        return nil
    end
    for number = from + 1, to do
        local block = _M.frame(channel, number)
        if not block then
            return nil
        end
        list[#list + 1] = block
    end
    return to
end

return _M
