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

local recent = ngx.shared.pushgate_recent
local state = ngx.shared.pushgate_state

local KEEP_SECONDS = 30
-- Longer than a subscriber takes to come in.
local COUNT_SECONDS = 120
-- More than this between two looks is not copied frame by frame: history does it better.
local MOST = 1000

local _M = {}

-- Keeps one frame of one channel. Called by the tail before the engine gets the frame.
function _M.note(channel, block)
    local sequence = state:incr("sequence", 1, 0)
    local number = recent:incr("c" .. channel, 1, sequence - 1)
    if number then
        recent:expire("c" .. channel, COUNT_SECONDS)
        recent:set("f" .. channel .. " " .. number, block, KEEP_SECONDS)
    end
end

-- How many frames all channels have had.
function _M.total()
    return state:get("sequence") or 0
end

-- How many frames the channel has had.
function _M.count(channel)
    local key = "c" .. channel
    local number = recent:get(key)
    if not number then
        number = state:get("sequence") or 0
        if not recent:add(key, number, COUNT_SECONDS) then
            number = recent:get(key) or number
        end
    else
        recent:expire(key, COUNT_SECONDS)
    end
    return number
end

-- The number of the channel's newest frame, and the frame of a number, or nil.
function _M.newest(channel)
    return recent:get("c" .. channel)
end

function _M.frame(channel, number)
    return recent:get("f" .. channel .. " " .. number)
end

-- Appends the frames after number `from` to `list`. Returns true; or false when some of them are
-- not there any more.
function _M.append_since(channel, from, list)
    local to = recent:get("c" .. channel)
    if to == from then
        return true
    end
    if not to or to < from or to - from > MOST then
        return false
    end
    for number = from + 1, to do
        local block = _M.frame(channel, number)
        if not block then
            return false
        end
        list[#list + 1] = block
    end
    return true
end

return _M
