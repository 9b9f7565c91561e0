-- What the tail reads: the log's entries behind a position, as the engine takes them.
--
-- Phase: the tail's timer.

local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local frames = require("pushgate.sse.frames")
local garbage = require("pushgate.garbage")
local history = require("pushgate.history")
local revocation = require("pushgate.revocation")

local COUNT = 500

local _M = {}

-- At most so many are read at once.
_M.MOST = COUNT

-- Reads the log, and the revocations beside it. Returns the log's entries; or nil and an error.
function _M.read(connection, done, wait_ms)
    local log, revoked = config.get().keys.log, config.get().keys.revoked
    local streams, after = { log }, { cursor.entry_id(done) }
    if revocation.is_followed() and revocation.is_known() then
        streams[2], after[2] = revoked, revocation.position()
    end
    local found, err = connection:read_streams(streams, after, COUNT, wait_ms)
    if not found then
        return nil, err
    end
    if found[revoked] then
        revocation.take(found[revoked])
    end
    return found[log]
end

-- Reads what the log gave. Returns entries as the engine takes them, without the malformed ones;
-- each says how many of those were in front of it, and the number behind the last one comes with
-- them.
function _M.of(raw_entries, epoch)
    local entries, malformed = {}, 0
    for i = 1, #raw_entries do
        local entry = history.read_entry(raw_entries[i])
        if entry then
            entry.position = cursor.of_entry(epoch, entry.id)
            if entry.deletes then
                counters.add("deletions")
                entry.block = frames.reset("deleted", entry.position.text, entry.names)
            else
                entry.block = frames.with_id(entry.position.text, entry.frame)
            end
            entry.malformed, malformed = malformed, 0
            entries[#entries + 1] = entry
        else
            malformed = malformed + 1
            garbage.pass_over("log", "the log's entry " .. tostring(raw_entries[i][1]))
        end
    end
    return entries, malformed
end

return _M
