-- What a channel may be called, and how a subscriber's address names channels.
--
-- Pure: no nginx phase, no I/O. Held to tests/golden/channels.json, as is pushgate/channels.py.

local find = string.find
local match = string.match
local sub = string.sub
local tonumber = tonumber

local _M = {}

_M.RULE = "a channel is 1-127 of a-z 0-9 _ : @ - and dots inside, begins with a letter or digit, "
    .. "and does not end in .b<digits>"
_M.MAX_LENGTH = 127
_M.MAX_CHANNELS = 16
-- No history holds more, so a longer backlog asks for nothing more.
_M.MAX_BACKLOG = 1000

-- A name as it may stand in an answer or a log line: short, no control characters.
local function shown(name)
    if #name > 140 then
        name = sub(name, 1, 137) .. "..."
    end
    return '"' .. name:gsub("[%c\127-\255\"\\]", "?") .. '"'
end

-- Returns true; or nil and a sentence that holds the rule.
function _M.check(name)
    if #name <= _M.MAX_LENGTH
        and find(name, "^[a-z0-9][a-z0-9_:@.-]*$")
        and not find(name, "%.$")
        and not find(name, "%.b[0-9]+$")
    then
        return true
    end
    return nil, "channel " .. shown(name) .. ": " .. _M.RULE
end

-- Reads "<channel>[.b<N>]/<channel>...", each part percent-decoded by `unescape`.
-- Returns a list of {name, backlog} without repeats; or nil and one sentence.
function _M.parse_path(path, unescape)
    local requested, by_name = {}, {}
    for part in (path .. "/"):gmatch("([^/]*)/") do
        part = unescape(part)
        local name, digits = match(part, "^(.*)%.b([0-9]+)$")
        name = name or part
        local ok, sentence = _M.check(name)
        if not ok then
            return nil, sentence
        end
        local backlog = tonumber(digits or "0")
        if backlog > _M.MAX_BACKLOG then
            backlog = _M.MAX_BACKLOG
        end
        local known = by_name[name]
        if known then
            known.backlog = backlog > known.backlog and backlog or known.backlog
        else
            if #requested == _M.MAX_CHANNELS then
                return nil, "too many channels: a connection takes at most "
                    .. _M.MAX_CHANNELS .. "; open another one for the rest"
            end
            known = { name = name, backlog = backlog }
            by_name[name] = known
            requested[#requested + 1] = known
        end
    end
    return requested
end

-- Whether `name` lies under one of `prefixes`.
function _M.has_prefix(name, prefixes)
    for i = 1, #prefixes do
        if sub(name, 1, #prefixes[i]) == prefixes[i] then
            return true
        end
    end
    return false
end

-- Reads the `channels` field of a log entry, names joined by one space.
-- Returns the list of names; nil when there is none, too many, or one that breaks the rule.
function _M.parse_field(text)
    local names = {}
    for name in (text .. " "):gmatch("(.-) ") do
        if #names == _M.MAX_CHANNELS or not _M.check(name) then
            return nil
        end
        names[#names + 1] = name
    end
    return names
end

_M.shown = shown

return _M
