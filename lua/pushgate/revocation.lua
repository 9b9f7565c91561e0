-- Which tokens are void before they expire, as the stream `revoked` in Redis says.
--
-- Held to tests/golden/revocations.json, as is pushgate/revocation.py. Shared by all workers and
-- kept over a reload. Shared dict pushgate_revoked, bounded; each expires when no token can be so
-- old:
--   u<sub>      tokens of this user made before this (ms since 1970) are void
--   c<channel>  the same for this channel, or for all under `prefix:*`
-- pushgate_state:
--   revoked:at         the last entry read
--   revoked:known      the stream has been read to its end
--   revoked:misplaced  something else stands in its place, and that was said
--   revoked:version    grows with each entry: who has seen it need not look again
--   revoked:untold     open streams have not been told yet
--   revoked:floor      what did not fit: tokens made before this are void, whosever they are
--
-- Phases: refuses() access, may_stay() wherever the engine sends from, the rest the tail's timer.

local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local stream_info = require("pushgate.stream_info")

local find = string.find
local revoked = ngx.shared.pushgate_revoked
local state = ngx.shared.pushgate_state
local sub = string.sub

-- No token lives longer than a day; and clocks differ.
local KEEP_MS = (86400 + 60) * 1000
local PAGE = 500
local START = "0-0"

local _M = {}

-- Whether this gateway knows tokens at all.
function _M.is_followed()
    return config.get().token_keys ~= ""
end

-- The last entry read: where to read on.
function _M.position()
    return state:get("revoked:at") or START
end

-- Whether the stream has been read to its end: before that no token may be trusted.
function _M.is_known()
    return state:get("revoked:known") == true
end

-- Grows with each entry.
function _M.version()
    return state:get("revoked:version") or 0
end

-- Raises the moment kept at `key`.
local function note(key, before_ms)
    local lives_ms = before_ms + KEEP_MS - ngx.now() * 1000
    if lives_ms <= 0 or before_ms <= (revoked:get(key) or 0) then
        return
    end
    local ok, err = revoked:safe_set(key, before_ms, lives_ms / 1000)
    if ok then
        return
    end
    local floor = state:get("revoked:floor")
    if not floor then
        ngx.log(ngx.ERR, "revocations do not fit (", err, "): every token made before the last of "
            .. "them is void; revoke prefix:* instead of many users")
    end
    if before_ms > (floor or 0) then
        state:set("revoked:floor", before_ms, lives_ms / 1000)
    end
end

-- Reads {id, {field, value, ...}}. Returns the key, before_ms; nil for anything else.
local function read_entry(raw)
    local fields = type(raw) == "table" and raw[2]
    if type(fields) ~= "table" or #fields < 4 then
        return nil
    end
    local named = {}
    for i = 1, #fields - 1, 2 do
        named[tostring(fields[i])] = tostring(fields[i + 1])
    end
    local digits = named.before_ms or ""
    if not find(digits, "^[0-9]+$") or #digits > 15 then
        return nil
    end
    if named.user and named.user ~= "" then
        return "u" .. named.user, tonumber(digits)
    end
    if named.channel and named.channel ~= "" then
        return "c" .. named.channel, tonumber(digits)
    end
    return nil
end

-- Takes entries of the stream, in order.
function _M.take(entries)
    if #entries == 0 then
        return
    end
    for _, raw in ipairs(entries) do
        local key, before_ms = read_entry(raw)
        if key then
            note(key, before_ms)
        else
            counters.add("malformed:revocations")
            ngx.log(ngx.ERR, "skipped a malformed revocation: ", tostring(raw[1]))
        end
    end
    state:incr("revoked:version", 1, 0)
    state:set("revoked:untold", true)
    state:set("revoked:at", tostring(entries[#entries][1]))
end

-- Whether open streams have yet to be told.
function _M.is_untold()
    return state:get("revoked:untold") == true
end

function _M.set_untold(is_untold)
    state:set("revoked:untold", is_untold)
end

-- Whether the stream still is where it was left: it may be lost, and another one begun.
-- Returns true or false; or nil and an error.
local function reaches(connection, position)
    local info, err = connection:call("xinfo", "STREAM", config.get().keys.revoked)
    if not info then
        if err and find(err, "no such key", 1, true) then
            return false
        end
        return nil, err
    end
    local ms, seq = cursor.parse_id(position)
    local last_id = stream_info.field(info, "last-generated-id")
    local last_ms, last_seq = cursor.parse_id(tostring(last_id))
    return ms ~= nil and last_ms ~= nil and not cursor.is_after(ms, seq, last_ms, last_seq)
end

-- Reads on to the stream's end, from its start when it is not the one that was followed.
-- Returns true; or nil and an error.
local function read_on(connection)
    local position = _M.position()
    if position ~= START then
        local same, err = reaches(connection, position)
        if same == nil then
            return nil, err
        end
        if not same then
            state:set("revoked:at", START)
        end
    end
    local entries
    repeat
        local err
        entries, err = connection:call("xrange", config.get().keys.revoked,
            "(" .. _M.position(), "+", "COUNT", PAGE)
        if not entries then
            return nil, err
        end
        _M.take(entries)
    until #entries < PAGE
    return true
end

-- Reads the stream to its end. What was void stays void. When something else is in its place no
-- token is trusted, and frames go on. Returns true; or nil and an error.
function _M.look(connection)
    local ok, err = read_on(connection)
    if not ok and not find(err or "", "^WRONGTYPE") then
        return nil, err
    end
    if ok then
        state:delete("revoked:misplaced")
    elseif state:add("revoked:misplaced", true) then
        ngx.log(ngx.ERR, "no token is taken: the key ", config.get().keys.revoked,
            " in Redis is no stream; delete it")
    end
    state:set("revoked:known", ok or false)
    return true
end

local function is_before(issued_ms, key)
    return issued_ms < (revoked:get(key) or 0)
end

-- Whether a token of the user `user`, made at `issued_at` (seconds since 1970), may not open one of
-- the channels `names`.
function _M.refuses(user, issued_at, names)
    local issued_ms = issued_at * 1000
    if issued_ms < (state:get("revoked:floor") or 0) or is_before(issued_ms, "u" .. user) then
        return true
    end
    for i = 1, #names do
        local name = names[i]
        if is_before(issued_ms, "c" .. name) then
            return true
        end
        local at = find(name, ":", 1, true)
        while at do
            if is_before(issued_ms, "c" .. sub(name, 1, at) .. "*") then
                return true
            end
            at = find(name, ":", at + 1, true)
        end
    end
    return false
end

-- Whether who is in by a token may stay. `identity` is what doors.open() returned.
function _M.may_stay(identity)
    local version = _M.version()
    if #identity.closed == 0 or version == identity.version then
        return true
    end
    if _M.refuses(identity.sub, identity.issued_at, identity.closed) then
        return false
    end
    identity.version = version
    return true
end

return _M
