-- Whether the log is still the one that was followed: Redis may have lost its end, another part may
-- have begun a new epoch, entries may have been cut off unread.
--
-- Phases: look(), untold(), has_told(), is_doubted() the tail's timer; doubt() all.

local config = require("pushgate.config")
local counters = require("pushgate.counters")
local cursor = require("pushgate.cursor")
local frames = require("pushgate.sse.frames")
local history = require("pushgate.history")
local position = require("pushgate.position")

local state = ngx.shared.pushgate_state

local _M = {}

-- The log does not hold what has been shown, or another part has begun a new epoch: goes on at its
-- end, and has every subscriber told.
local function begin_epoch(found)
    ngx.log(ngx.WARN, "the epoch is now ", found.epoch, "; the log goes on at ", found.text)
    state:set("tail:untold", frames.EPOCH)
    position.move(found)
    counters.add("epochs")
end

-- A place in the epoch of `done` at which no log ends.
local function behind_every_end(done)
    return { epoch = done.epoch, ms = 2 ^ 53, seq = 0 }
end

-- What XINFO says of a log that has entries behind `done`, and whether it is one that lost its end
-- since and has grown anew: then it lacks the entry that `done` is. That is shown by a place that
-- lies behind every end, or false. Returns nil and an error when it cannot be had.
local function ask_what_is_behind(connection, done)
    local log, id = config.get().keys.log, cursor.entry_id(done)
    local replies, err = connection:together({ { "xinfo", "STREAM", log },
        { "xrange", log, id, id } })
    if not replies then
        return nil, err
    end
    local info, entry = replies[1], replies[2]
    if info[1] == false or entry[1] == false then
        return nil, tostring(info[2] or entry[2])
    end
    if not entry[1] and history.log_was_not_cut_at(info, done) then
        return info, behind_every_end(done)
    end
    return info, false
end

-- Looks whether the log is still the one that was followed. Returns true; or nil and an error.
function _M.look(connection)
    local begun, err = position.begin()
    if not begun then
        return nil, err
    end
    local books = position.books()
    local done = books.position
    local found
    found, err = position.ask(connection)
    if not found then
        return nil, err
    end
    local info
    if found.epoch == done.epoch then
        local lost = cursor.is_after(done.ms, done.seq, found.ms, found.seq) and done
        if not lost and found.place < position.place(books) then
            -- It was given fewer entries than were read from it.
            lost = behind_every_end(done)
        end
        if not lost and cursor.is_after(found.ms, found.seq, done.ms, done.seq) then
            info, lost = ask_what_is_behind(connection, done)
            if not info then
                return nil, lost
            end
        end
        if lost then
            info = nil
            found, err = position.ask_to_move(connection, lost)
            if not found then
                return nil, err
            end
        end
    end
    if found.epoch ~= done.epoch then
        begin_epoch(found)
    elseif info then
        -- Entries between `done` and the log's oldest one may have been cut off unread.
        if not history.log_holds_all_after(info, done) then
            ngx.log(ngx.ERR, "the log was cut off behind ", done.text, "; subscribers resume")
            state:set("tail:untold", frames.RESUME)
            position.skip(found)
        end
    end
    return true
end

-- What subscribers are still to be told of it, a comment of sse/frames.lua, also when the worker
-- that found it is gone; nil for nothing.
function _M.untold()
    return state:get("tail:untold")
end

function _M.has_told()
    state:delete("tail:untold")
end

-- Somebody has seen what does not fit: the tail is to look at once.
function _M.doubt()
    state:set("tail:look", true)
end

-- Whether somebody has, since this was asked last.
function _M.is_doubted()
    local is_doubted = state:get("tail:look")
    if is_doubted then
        state:delete("tail:look")
    end
    return is_doubted
end

return _M
