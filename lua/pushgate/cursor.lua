-- A position in the log, as a subscriber holds it: "<epoch>.<ms>-<seq>".
--
-- Pure: no nginx phase, no I/O. Held to tests/golden/cursors.json, as is pushgate/cursor.py.
-- Both numbers have at most 15 digits, so that a double, all that Lua has, holds them exactly.

local find = string.find
local match = string.match
local tonumber = tonumber
local type = type

local _M = {}

local EPOCH = "^[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$"

-- A whole number of at most 15 digits without a leading zero; nil for anything else.
local function number_of(digits)
    if #digits > 15 or (#digits > 1 and find(digits, "^0")) then
        return nil
    end
    return tonumber(digits)
end

-- Reads an entry id as Redis writes it, "<ms>-<seq>". Returns ms, seq; nil for any other text.
function _M.parse_id(text)
    local from, _, ms, seq = find(text, "^([0-9]+)%-([0-9]+)$")
    if not from then
        return nil
    end
    ms, seq = number_of(ms), number_of(seq)
    if not ms or not seq then
        return nil
    end
    return ms, seq
end

-- Whether something is an epoch's text.
function _M.is_epoch(text)
    return type(text) == "string" and find(text, EPOCH) ~= nil
end

-- Reads a cursor. Returns {text, epoch, ms, seq}; nil for any other text.
function _M.parse(text)
    if #text > 40 then
        return nil
    end
    local from, _, epoch, id = find(text, "^([^.]*)%.(.*)$")
    if not from or not find(epoch, EPOCH) then
        return nil
    end
    local ms, seq = _M.parse_id(id)
    if not ms then
        return nil
    end
    return { text = text, epoch = epoch, ms = ms, seq = seq }
end

-- The cursor of a block that begins with an `id:` line; nil for any other block.
function _M.of_block(block)
    local text = match(block, "^id: ([^\n]+)\n")
    return text and _M.parse(text)
end

-- The cursor of the entry `id` ("<ms>-<seq>") in `epoch`; nil when the two do not make one.
function _M.of_entry(epoch, id)
    return _M.parse(epoch .. "." .. id)
end

-- Whether the first position lies behind the second, of the same epoch.
function _M.is_after(ms, seq, other_ms, other_seq)
    return ms > other_ms or (ms == other_ms and seq > other_seq)
end

-- The entry id of a cursor, as Redis writes it.
function _M.entry_id(cursor)
    return cursor.text:sub(#cursor.epoch + 2)
end

return _M
